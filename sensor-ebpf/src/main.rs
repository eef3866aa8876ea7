//! The kernel side of whodunit.
//!
//! One file for each family of hooks; each program fills a reserved ring record field by field
//! and submits it. Kernel structures are read through offsets from the running kernel's BTF
//! ([`kernel::OFFSETS`]); a field that is missing switches off only what needs it.
#![no_std]
#![no_main]

mod attributes;
mod change;
mod file;
mod hook;
mod kernel;
mod manager;
mod maps;
mod message;
mod mount;
mod path;
mod process;
mod request;
mod task;
mod watch;

/// Several helpers and direct BTF access are for GPL-compatible programs alone.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
