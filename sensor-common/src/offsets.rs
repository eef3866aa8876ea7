//! Where the running kernel keeps its fields, as its own BTF says.

use crate::layout;

/// The offset of a field that this kernel does not have.
pub const MISSING: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Offsets in bytes, each [`MISSING`] where this kernel has no such field. Handed to the
        /// programs as read-only data before they are verified, so that the verifier sees
        /// constants and drops the code that needs a missing field.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each field is named after the struct and member it locates")]
        pub struct Offsets {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Offsets {
            /// Nothing known.
            pub const NONE: Self = Self { $($field: MISSING,)* };

            /// Names of the fields that this kernel lacks.
            pub fn missing(&self) -> impl Iterator<Item = &'static str> {
                [$((stringify!($field), self.$field),)*]
                    .into_iter()
                    .filter_map(|(name, offset)| (offset == MISSING).then_some(name))
            }
        }

        layout!(Offsets, 4 * [$(stringify!($field),)*].len());
    };
}

offsets! {
    task_tgid,
    task_pid,
    task_group_leader,
    task_start_boottime,
    task_cred,
    task_fs,
    task_mm,
    task_nsproxy,
    task_thread_pid,
    task_loginuid,
    task_sessionid,
    task_cgroups,
    task_signal,
    task_exit_code,
    task_self_exec_id,
    cred_uid,
    cred_gid,
    cred_euid,
    fs_pwd,
    mm_arg_start,
    mm_arg_end,
    mm_env_start,
    mm_env_end,
    nsproxy_mnt_ns,
    mnt_namespace_inum,
    pid_level,
    pid_numbers,
    upid_nr,
    upid_ns,
    upid_size,
    pid_namespace_inum,
    css_set_dfl_cgrp,
    cgroup_kn,
    kernfs_node_id,
    kernfs_node_name,
    kernfs_node_parent,
    signal_live,
    binprm_file,
    file_path,
    file_inode,
    file_mode,
    file_flags,
    path_mnt,
    path_dentry,
    inode_ino,
    inode_sb,
    inode_mode,
    inode_size,
    inode_nlink,
    inode_uid,
    inode_dentries,
    super_block_dev,
    super_block_magic,
    dentry_parent,
    dentry_name,
    dentry_inode,
    dentry_alias,
    qstr_name,
    qstr_len,
    vfsmount_root,
    mount_mnt,
    mount_parent,
    mount_mountpoint,
    iattr_valid,
    socket_type,
    socket_sk,
    socket_file,
    sock_family,
    sock_socket,
    unix_sock_peer,
    unix_sock_path,
    msghdr_iter,
    iter_type,
    iter_offset,
    iter_count,
    iter_segments,
    iter_buffer,
    iter_number,
    siginfo_code,
    /// A value of `iov_iter`'s type, not an offset.
    is_iovec,
    /// As above.
    is_kvec,
    /// As above.
    is_ubuf,
}
