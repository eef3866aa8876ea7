# Changes that no shell and no core utility makes, by system call (x86_64). perl-base is on every
# Debian system; Python's minimal package has neither ctypes nor mmap.
use strict;
use warnings;

my $TEXT = "[Service]\nExecStart=/bin/true\n";
my $CWD = -100;

sub call {
    my $what = shift;
    # Texts are handed over as copies: Perl writes to none that are constants.
    my @arguments = @_;
    my $result = syscall($what, @arguments);
    die "@ARGV: call $what: $!\n" if $result == -1;
    return $result;
}
sub address { return unpack("Q", pack("P", $_[0])) }
sub peek { my ($at, $size) = @_; return unpack("P$size", pack("Q", $at)) }
# Puts bytes where a mapping lies: read(2) takes any address.
sub poke {
    my ($at, $bytes) = @_;
    pipe(my $out, my $in) or die;
    syswrite($in, $bytes) == length $bytes or die;
    call(0, fileno $out, $at, length $bytes);
}
sub mapped { my ($fd, $size, $offset) = @_; return call(9, 0, $size, 3, 1, $fd, $offset) }
sub opened {
    my ($path, $flags) = @_;
    sysopen(my $file, $path, $flags, 0644) or die "$path: $!\n";
    return $file;
}

my %do = (
    truncate => sub { call(76, $_[0], $_[1] + 0) },
    ftruncate => sub { my $file = opened($_[0], 2); call(77, fileno $file, $_[1] + 0) },
    fallocate => sub { my $file = opened($_[0], 2); call(285, fileno $file, 0, 0, 100) },
    copy_file_range => sub {
        my ($from, $to) = (opened($_[0], 0), opened($_[1], 1 | 0100));
        call(326, fileno $from, 0, fileno $to, 0, -s $from, 0);
    },
    mmap => sub {
        my $file = opened($_[0], 2);
        my $at = mapped(fileno $file, 4096, 0);
        poke($at + 1, "Unit]   ");
        call(11, $at, 4096);
    },
    tmpfile => sub {
        my ($directory, $path) = @_;
        my $file = opened($directory, 1 | 020200000);
        syswrite($file, $TEXT);
        my $itself = "/proc/self/fd/" . fileno $file;
        call(265, $CWD, $itself, $CWD, $path, 0x400);
    },
    # Opened by one process, written by another.
    scm_rights => sub {
        my ($path) = @_;
        socketpair(my $left, my $right, 1, 1, 0) or die;
        my $byte = "x";
        my $vector = pack("QQ", address($byte), 1);
        if (my $child = fork) {
            my $file = opened($path, 1 | 0100);
            my $control = pack("Qlllx4", 20, 1, 1, fileno $file);
            call(46, fileno $left, pack("QLx4QQQQlx4", 0, 0, address($vector), 1, address($control), 24, 0), 0);
            close $file;
            waitpid $child, 0;
            exit $? >> 8;
        }
        my $control = "\0" x 24;
        my $message = pack("QLx4QQQQlx4", 0, 0, address($vector), 1, address($control), 24, 0);
        call(47, fileno $right, $message, 0);
        my $fd = unpack("x16l", $control);
        call(1, $fd, $TEXT, length $TEXT);
    },
    renameat2 => sub { call(316, $CWD, $_[0], $CWD, $_[1], $_[2] + 0) },
    # name_to_handle_at and open_by_handle_at: no name leads to the file.
    handle => sub {
        my ($path) = @_;
        my ($handle, $mount) = (pack("Ll", 128, 0) . "\0" x 128, "\0" x 4);
        my $name = "$path";
        syscall(303, $CWD, $name, $handle, $mount, 0) == 0 or die "name_to_handle_at: $!\n";
        opendir(my $root, "/") or die;
        my $fd = call(304, fileno $root, $handle, 1 | 01000);
        call(1, $fd, $TEXT, length $TEXT);
    },
    # A program that has no name runs, and writes.
    memfd => sub {
        my ($program, @arguments) = @_;
        my $fd = call(319, "x", 0);
        open(my $from, "<:raw", $program) or die;
        local $/;
        my $text = <$from>;
        call(1, $fd, $text, length $text);
        exec { "/proc/self/fd/$fd" } "x", @arguments or die;
    },
    # A file system whose server never answers, for as long as this runs.
    dead => sub {
        my ($at) = @_;
        my $fuse = opened("/dev/fuse", 2);
        my $options = "fd=" . fileno($fuse) . ",rootmode=40000,user_id=0,group_id=0";
        call(165, "dead", $at, "fuse", 0, $options);
        sleep;
    },
    mknod => sub { call(259, $CWD, $_[0], 0100644, 0) },
    utimes => sub { utime(1e9, 1e9, $_[0]) or die },
    setxattr => sub { call(188, $_[0], "user.whodunit", "1", 1, 0) },
    removexattr => sub { call(197, $_[0], "user.whodunit") },
    # What `setfacl -m u:1000:rw` sets.
    setacl => sub {
        my $acl = pack("L(SSL)5", 2, 1, 6, -1 & 0xffffffff, 2, 6, 1000, 4, 4, 0xffffffff, 16, 6, 0xffffffff, 32, 4, 0xffffffff);
        call(188, $_[0], "system.posix_acl_access", $acl, length $acl, 0);
    },
    # open_tree(OPEN_TREE_CLONE) and move_mount.
    clone_mount => sub {
        my $tree = call(428, $CWD, $_[0], 1);
        call(429, $tree, "", $CWD, $_[1], 4);
    },
    # fsopen, fsmount and move_mount.
    new_mount => sub {
        my $context = call(430, "tmpfs", 0);
        call(431, $context, 6, 0, 0, 0);
        my $mount = call(432, $context, 0, 0);
        call(429, $mount, "", $CWD, $_[0], 4);
    },
    # Opened, written and closed without one of these calls; $_[1]: by a worker thread.
    io_uring => sub {
        my ($path, $async) = @_;
        my $parameters = "\0" x 120;
        my $ring = syscall(425, 4, $parameters);
        die "io_uring_setup: $!\n" if $ring == -1;
        my ($sq, $cq) = ([unpack("x40L8", $parameters)], [unpack("x80L8", $parameters)]);
        my $entries = unpack("x4L", $parameters);
        my $submit = mapped($ring, $sq->[6] + 16, 0);
        my $complete = mapped($ring, $cq->[5] + 16 * $entries, 0x8000000);
        my $requests = mapped($ring, 256, 0x10000000);
        my $count = 0;
        my $run = sub {
            my ($operation, $fd, $offset, $address, $length, $flags) = @_;
            poke($requests, pack("CCSlQQLLQx24", $operation, $async ? 16 : 0, 0, $fd, $offset, $address, $length, $flags, 0));
            poke($submit + $sq->[6] + 4 * ($count % 4), pack("L", 0));
            $count += 1;
            poke($submit + $sq->[1], pack("L", $count));
            call(426, $ring, 1, 1, 1, 0, 0);
            my $result = unpack("x8l", peek($complete + $cq->[5] + 16 * (($count - 1) % $entries), 16));
            poke($complete + $cq->[0], pack("L", $count));
            die "io_uring $operation: $result\n" if $result < 0;
            return $result;
        };
        my $name = "$path\0";
        my $fd = $run->(18, $CWD, 0, address($name), 0644, 1 | 0100);
        $run->(23, $fd, 0, address($TEXT), length $TEXT, 0);
        $run->(19, $fd, 0, 0, 0, 0);
    },
);
my ($what, @arguments) = @ARGV;
$do{$what}->(@arguments);
