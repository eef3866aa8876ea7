use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::*;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dpkg");

/// A root with the database of a Debian 12 host that has dash, e2fsprogs and rsync.
fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("tempdir");
    let admin = root.path().join("var/lib/dpkg");
    fs::create_dir_all(admin.join("info")).expect("mkdir");
    fs::create_dir_all(admin.join("updates")).expect("mkdir");
    let copy = |name: &str| {
        fs::copy(Path::new(RECORDED).join(name), admin.join(name)).expect("copy");
    };
    copy("status");
    copy("diversions");
    for package in ["dash", "e2fsprogs", "rsync"] {
        copy(&format!("info/{package}.list"));
        copy(&format!("info/{package}.md5sums"));
    }
    for dir in ["lib", "bin"] {
        fs::create_dir_all(root.path().join("usr").join(dir)).expect("mkdir");
        symlink(format!("usr/{dir}"), root.path().join(dir)).expect("symlink");
    }
    root
}

fn sum(hex: &str) -> Md5 {
    digest(hex.as_bytes()).expect("32 digits")
}

fn ask(packages: &mut Packages, path: &str, md5: Option<&str>) -> Option<(String, Shipped)> {
    let md5 = md5.map(sum);
    let owner = packages.owner(Path::new(path), md5.as_ref(), None)?;
    Some((owner.package, owner.shipped))
}

fn former(packages: &mut Packages, path: &str) -> Option<String> {
    let owner = packages.former_owner(Path::new(path))?;
    Some(owner.package)
}

#[test]
fn owners_on_a_real_database() {
    let root = host();
    let packages = &mut Packages::at(root.path());
    let is = |package: &str, shipped| Some((package.to_owned(), shipped));
    let unit = "f96527522fffdf4f880dacf5bb738140";
    // Listed in /lib, which is /usr/lib.
    for path in [
        "/usr/lib/systemd/system/rsync.service",
        "/lib/systemd/system/rsync.service",
    ] {
        assert_eq!(ask(packages, path, Some(unit)), is("rsync", Shipped::Same));
    }
    let other = "00000000000000000000000000000000";
    let unit = "/lib/systemd/system/rsync.service";
    assert_eq!(
        ask(packages, unit, Some(other)),
        is("rsync", Shipped::Different)
    );
    assert_eq!(ask(packages, unit, None), is("rsync", Shipped::NoContent));
    // A conffile's digest is in the status.
    let conf = "bc533e09f3b3d96bfe1633ad57eb7026";
    assert_eq!(
        ask(packages, "/etc/cron.d/e2scrub_all", Some(conf)),
        is("e2fsprogs", Shipped::Same)
    );
    // A link has none.
    assert_eq!(
        ask(packages, "/usr/bin/sh", None),
        is("dash", Shipped::NoDigest)
    );
    assert_eq!(ask(packages, "/usr/bin/sh.distrib", None), None);
    assert_eq!(
        ask(packages, "/etc/systemd/system/x.timer", Some(conf)),
        None
    );
    let owner = packages.owner(Path::new(unit), None, None).expect("owned");
    assert_eq!(owner.version.as_deref(), Some("3.5.0+ds1-0+deb12u1"));
    assert_eq!(packages.take_gap(), None);
}

#[test]
fn diversions_say_whose_file_lies_where() {
    let root = host();
    let admin = root.path().join("var/lib/dpkg");
    let path = "/lib/systemd/system/rsync.service";
    let divert = |by: &str| {
        let text = format!("{path}\n{path}.away\n{by}\n");
        fs::write(admin.join("diversions"), text).expect("write");
    };
    let packages = &mut Packages::at(root.path());
    // dash has no such file: what lies there is nobody's.
    divert("dash");
    assert_eq!(ask(packages, path, None), None);
    let moved = ask(packages, &format!("{path}.away"), None);
    assert_eq!(moved.expect("rsync's").0, "rsync");
    divert("rsync");
    assert_eq!(ask(packages, path, None).expect("its own").0, "rsync");
    assert_eq!(ask(packages, &format!("{path}.away"), None), None);
    divert(":");
    assert_eq!(ask(packages, path, None), None);
}

#[test]
fn the_database_is_followed() {
    let root = host();
    let admin = root.path().join("var/lib/dpkg");
    let packages = &mut Packages::at(root.path());
    assert!(packages.read_ahead(1), "two lists of three are to be read");
    let path = "/usr/lib/systemd/system/new.service";
    let md5 = "0123456789abcdef0123456789abcdef";
    assert_eq!(ask(packages, path, Some(md5)), None);

    // While it is unpacked …
    let unpacking = admin.join("tmp.ci");
    fs::create_dir(&unpacking).expect("mkdir");
    fs::write(unpacking.join("control"), "Package: new\nVersion: 2\n").expect("write");
    let line = format!("{md5}  lib/systemd/system/new.service\n");
    fs::write(unpacking.join("md5sums"), &line).expect("write");
    fs::write(unpacking.join("conffiles"), "/etc/new.conf\n").expect("write");
    assert_eq!(
        ask(packages, path, Some(md5)),
        Some(("new".into(), Shipped::Same))
    );
    let conffile = ask(packages, "/etc/new.conf", Some(md5));
    assert_eq!(conffile, Some(("new".into(), Shipped::NoDigest)));

    let line_of = |md5: &str| format!("{md5}  lib/systemd/system/new.service\n");
    // An upgrade: what is listed has the old digest still.
    let old = "00000000000000000000000000000000";
    let list = "/.\n/lib/systemd/system/new.service\n";
    fs::write(admin.join("info/new:all.list"), list).expect("write");
    fs::write(admin.join("info/new:all.md5sums"), line_of(old)).expect("write");
    assert_eq!(
        ask(packages, path, Some(md5)),
        Some(("new".into(), Shipped::Same))
    );
    // The list was entered, and the digests not yet.
    fs::remove_file(admin.join("info/new:all.md5sums")).expect("remove");
    assert_eq!(
        ask(packages, path, Some(md5)),
        Some(("new".into(), Shipped::Same))
    );
    fs::remove_file(admin.join("info/new:all.list")).expect("remove");

    // What nothing lists is its all the same, if it was put there meanwhile.
    let control = unpacking.join("control");
    let text = "Package: new\nVersion: 2\nArchitecture: all\nMulti-Arch: same\n";
    fs::write(&control, text).expect("write");
    let made = fs::metadata(&control).expect("metadata");
    let made = made.ctime() as u64 * 1_000_000_000 + made.ctime_nsec() as u64;
    let owner = packages.unpacking_at(made + 1).expect("unpacking");
    assert_eq!(
        (owner.package.as_str(), owner.shipped),
        ("new:all", Shipped::NoDigest)
    );
    assert_eq!(packages.unpacking_at(made), None);

    // … and after, while the status is in the journal still.
    fs::remove_dir_all(&unpacking).expect("remove");
    fs::write(admin.join("info/new:all.md5sums"), &line).expect("write");
    let list = "/.\n/lib\n/lib/systemd/system/new.service\n";
    fs::write(admin.join("info/new:all.list"), list).expect("write");
    let stanza = "Package: new\nArchitecture: all\nVersion: 2\n";
    fs::write(admin.join("updates/0001"), stanza).expect("write");
    let owner = packages
        .owner(Path::new(path), Some(&sum(md5)), None)
        .expect("owned");
    assert_eq!(
        (owner.package.as_str(), owner.version.as_deref()),
        ("new:all", Some("2"))
    );
    assert_eq!(owner.shipped, Shipped::Same);

    // An upgrade with another file, then its removal.
    fs::write(
        admin.join("info/new:all.list"),
        "/.\n/lib/systemd/system/other.service\n",
    )
    .expect("write");
    assert_eq!(ask(packages, path, Some(md5)), None);
    assert_eq!(former(packages, path).as_deref(), Some("new:all"));
    fs::remove_file(admin.join("info/new:all.list")).expect("remove");
    let other = "/lib/systemd/system/other.service";
    assert_eq!(ask(packages, other, None), None);
    assert_eq!(
        former(packages, &format!("/usr{other}")).as_deref(),
        Some("new:all")
    );
    assert_eq!(former(packages, "/usr/lib/systemd/system/x.service"), None);
}

#[test]
fn what_cannot_be_read_is_said_and_no_answer() {
    let root = host();
    let admin = root.path().join("var/lib/dpkg");
    fs::remove_file(admin.join("status")).expect("remove");
    nix::unistd::mkfifo(&admin.join("status"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let packages = &mut Packages::at(root.path());
    assert_eq!(ask(packages, "/bin/dash", None), None);
    let gap = packages.take_gap().expect("a gap");
    assert!(gap.contains("status is not a regular file"), "{gap}");
    assert_eq!(packages.take_gap(), None);
    // It is not forgotten that it was not read.
    assert_eq!(ask(packages, "/bin/dash", None), None);
    assert!(packages.take_gap().is_some());

    let nothing = tempfile::tempdir().expect("tempdir");
    let packages = &mut Packages::at(nothing.path());
    assert_eq!(ask(packages, "/bin/dash", None), None);
    assert_eq!(packages.take_gap(), None);
}

proptest::proptest! {
    #[test]
    fn headers_are_anybodys(mut blob in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
                            entries in 0_u32..20, number in 0_usize..100) {
        if let Some(head) = blob.get_mut(..4) {
            head.copy_from_slice(&entries.to_be_bytes());
        }
        if let Some(header) = Header::parse(&blob) {
            let _ = (header.name(), header.version(), header.architecture(), header.algorithm());
            let _ = header.file(number);
        }
    }
}
