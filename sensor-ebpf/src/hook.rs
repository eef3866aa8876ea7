//! How a fact gets its programs.
//!
//! Each fact has one body and three programs: LSM hook, fentry and kprobe on the `security_*`
//! function of the same name. All see the same objects, below the syscall layer, after the
//! kernel's own permission checks and before the deed. The agent loads one of the three.

/// Defines the three programs of one hook around `$body`, which asks for the arguments it needs:
/// no more than the hook has, or the verifier objects.
macro_rules! hook {
    ($name:literal, $body:path, $lsm:ident, $fentry:ident, $kprobe:ident) => {
        #[lsm(hook = $name)]
        pub(crate) fn $lsm(ctx: LsmContext) -> i32 {
            $body(|n| ctx.arg(n));
            0 // never an opinion on whether it is allowed
        }

        #[fentry(function = $name)]
        pub(crate) fn $fentry(ctx: FEntryContext) -> i32 {
            $body(|n| ctx.arg(n));
            0
        }

        #[kprobe]
        pub(crate) fn $kprobe(ctx: ProbeContext) -> u32 {
            $body(|n| ctx.arg(n).unwrap_or(0));
            0
        }
    };
}

/// Defines the two programs of a function that no LSM hook stands for.
macro_rules! function {
    ($name:literal, $body:path, $fentry:ident, $kprobe:ident) => {
        #[fentry(function = $name)]
        pub(crate) fn $fentry(ctx: FEntryContext) -> i32 {
            $body(|n| ctx.arg(n));
            0
        }

        #[kprobe]
        pub(crate) fn $kprobe(ctx: ProbeContext) -> u32 {
            $body(|n| ctx.arg(n).unwrap_or(0));
            0
        }
    };
}

pub(crate) use {function, hook};
