//! Which field of which struct each offset is.

use whodunit_common::{MISSING, Offsets};

use super::btf::Btf;

/// Not among the values of `iov_iter`'s type, which are bytes.
const NO_TYPE: u32 = 0x100;

/// Looks every field up in this kernel's BTF. Renamed fields are tried by each of their names.
pub(crate) fn resolve(btf: &Btf) -> Offsets {
    let at = |name: &str, path: &str| btf.offset(name, path).unwrap_or(MISSING);
    let first = |name: &str, paths: &[&str]| {
        paths
            .iter()
            .find_map(|path| btf.offset(name, path))
            .unwrap_or(MISSING)
    };
    Offsets {
        task_tgid: at("task_struct", "tgid"),
        task_pid: at("task_struct", "pid"),
        task_group_leader: at("task_struct", "group_leader"),
        // 5.5 renamed it: https://github.com/torvalds/linux/commit/cf25e24db61c
        task_start_boottime: first("task_struct", &["start_boottime", "real_start_time"]),
        task_cred: at("task_struct", "cred"),
        task_fs: at("task_struct", "fs"),
        task_mm: at("task_struct", "mm"),
        task_nsproxy: at("task_struct", "nsproxy"),
        task_thread_pid: at("task_struct", "thread_pid"),
        task_loginuid: at("task_struct", "loginuid"),
        task_sessionid: at("task_struct", "sessionid"),
        task_cgroups: at("task_struct", "cgroups"),
        task_signal: at("task_struct", "signal"),
        task_exit_code: at("task_struct", "exit_code"),
        task_self_exec_id: at("task_struct", "self_exec_id"),
        cred_uid: at("cred", "uid"),
        cred_gid: at("cred", "gid"),
        cred_euid: at("cred", "euid"),
        fs_pwd: at("fs_struct", "pwd"),
        mm_arg_start: at("mm_struct", "arg_start"),
        mm_arg_end: at("mm_struct", "arg_end"),
        mm_env_start: at("mm_struct", "env_start"),
        mm_env_end: at("mm_struct", "env_end"),
        nsproxy_mnt_ns: at("nsproxy", "mnt_ns"),
        mnt_namespace_inum: at("mnt_namespace", "ns.inum"),
        pid_level: at("pid", "level"),
        pid_numbers: at("pid", "numbers"),
        upid_nr: at("upid", "nr"),
        upid_ns: at("upid", "ns"),
        upid_size: btf.size("upid").unwrap_or(MISSING),
        pid_namespace_inum: at("pid_namespace", "ns.inum"),
        css_set_dfl_cgrp: at("css_set", "dfl_cgrp"),
        cgroup_kn: at("cgroup", "kn"),
        kernfs_node_id: at("kernfs_node", "id"),
        kernfs_node_name: at("kernfs_node", "name"),
        // 6.15 renamed it: https://github.com/torvalds/linux/commit/633488947ef6
        kernfs_node_parent: first("kernfs_node", &["__parent", "parent"]),
        signal_live: at("signal_struct", "live"),
        binprm_file: at("linux_binprm", "file"),
        file_path: at("file", "f_path"),
        file_inode: at("file", "f_inode"),
        file_mode: at("file", "f_mode"),
        file_flags: at("file", "f_flags"),
        path_mnt: at("path", "mnt"),
        path_dentry: at("path", "dentry"),
        inode_ino: at("inode", "i_ino"),
        inode_sb: at("inode", "i_sb"),
        inode_mode: at("inode", "i_mode"),
        inode_size: at("inode", "i_size"),
        inode_nlink: first("inode", &["i_nlink", "__i_nlink"]),
        inode_uid: at("inode", "i_uid"),
        inode_dentries: at("inode", "i_dentry.first"),
        super_block_dev: at("super_block", "s_dev"),
        super_block_magic: at("super_block", "s_magic"),
        dentry_parent: at("dentry", "d_parent"),
        dentry_name: first("dentry", &["d_name", "__d_name"]),
        dentry_inode: at("dentry", "d_inode"),
        dentry_alias: first("dentry", &["d_u.d_alias", "d_alias"]),
        qstr_name: at("qstr", "name"),
        qstr_len: at("qstr", "len"),
        vfsmount_root: at("vfsmount", "mnt_root"),
        mount_mnt: at("mount", "mnt"),
        mount_parent: at("mount", "mnt_parent"),
        mount_mountpoint: at("mount", "mnt_mountpoint"),
        iattr_valid: at("iattr", "ia_valid"),
        socket_type: at("socket", "type"),
        socket_sk: at("socket", "sk"),
        socket_file: at("socket", "file"),
        sock_family: at("sock", "__sk_common.skc_family"),
        sock_socket: at("sock", "sk_socket"),
        unix_sock_peer: at("unix_sock", "peer"),
        unix_sock_path: at("unix_sock", "path"),
        msghdr_iter: at("msghdr", "msg_iter"),
        // 5.14 renamed it: https://github.com/torvalds/linux/commit/8cd54c1c8480
        iter_type: first("iov_iter", &["iter_type", "type"]),
        iter_offset: at("iov_iter", "iov_offset"),
        iter_count: at("iov_iter", "count"),
        // 6.4 renamed it: https://github.com/torvalds/linux/commit/de4f5fed3f23
        iter_segments: first("iov_iter", &["__iov", "iov"]),
        // One buffer in user memory has a type of its own since 6.0:
        // https://github.com/torvalds/linux/commit/fcb14cb1bdac. Before, nothing has it.
        iter_buffer: first("iov_iter", &["ubuf", "__iov", "iov"]),
        iter_number: at("iov_iter", "nr_segs"),
        siginfo_code: at("kernel_siginfo", "si_code"),
        is_iovec: btf.enumerator("ITER_IOVEC").unwrap_or(MISSING),
        is_kvec: btf.enumerator("ITER_KVEC").unwrap_or(MISSING),
        is_ubuf: btf.enumerator("ITER_UBUF").unwrap_or(NO_TYPE),
    }
}
