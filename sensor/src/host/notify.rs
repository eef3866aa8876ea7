//! Telling the service manager, as sd_notify(3) does.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Says that the agent is ready, if a service manager wants to know.
pub fn ready() {
    if let Err(error) = send(b"READY=1") {
        log::warn!("the service manager cannot be told: {error}");
    }
}

fn send(message: &[u8]) -> std::io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
}
