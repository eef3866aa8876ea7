//! Where a login session comes from: its terminal, and the other end of its sshd's connection.

use std::{
    collections::HashSet,
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Most descriptors of a process that are looked at.
const DESCRIPTORS_MAX: usize = 256;
/// Most bytes of a table of connections that are read.
const TABLE_MAX: u64 = 4 << 20;

/// The other end of the first established TCP connection of process `tgid`. Of an sshd that serves a
/// session there is one.
#[must_use]
pub fn connection(tgid: u32) -> Option<SocketAddr> {
    let entries = fs::read_dir(format!("/proc/{tgid}/fd")).ok()?;
    let sockets: HashSet<u64> = entries
        .flatten()
        .take(DESCRIPTORS_MAX)
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let text = target.to_str()?.strip_prefix("socket:[")?;
            text.strip_suffix(']')?.parse().ok()
        })
        .collect();
    if sockets.is_empty() {
        return None;
    }
    ["tcp", "tcp6"].into_iter().find_map(|table| {
        let mut text = String::new();
        let file = fs::File::open(format!("/proc/{tgid}/net/{table}")).ok()?;
        file.take(TABLE_MAX).read_to_string(&mut text).ok()?;
        peer_in(&text, &sockets)
    })
}

/// The remote address of the first established connection among `sockets`: see
/// <https://docs.kernel.org/networking/proc_net_tcp.html>.
fn peer_in(table: &str, sockets: &HashSet<u64>) -> Option<SocketAddr> {
    const ESTABLISHED: &str = "01";
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let remote = fields.nth(2)?;
        let state = fields.next()?;
        let inode: u64 = fields.nth(5)?.parse().ok()?;
        (state == ESTABLISHED && sockets.contains(&inode)).then_some(())?;
        address(remote)
    })
}

/// `0100007F:0016`: words of the address in the byte order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = (0..address.len() / 8)
        .map(|word| {
            let digits = address.get(word * 8..word * 8 + 8)?;
            Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => {
            let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?);
            v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
        }
    };
    Some(SocketAddr::new(address, port))
}

/// The controlling terminal of process `tgid`, as `pts/0`.
#[must_use]
pub fn terminal(tgid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{tgid}/stat")).ok()?;
    terminal_in(&stat)
}

/// The seventh field is the device; the second, the name, may hold anything.
fn terminal_in(stat: &str) -> Option<String> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let device: u32 = rest
        .split(' ')
        .nth(4)?
        .parse::<i64>()
        .ok()?
        .try_into()
        .ok()?;
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    match major {
        136..=143 => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        4 if minor < 64 => Some(format!("tty{minor}")),
        4 => Some(format!("ttyS{}", minor - 64)),
        0 => None,
        _ => Some(format!("{major}:{minor}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_of_an_established_connection() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             \x20  0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1\n\
             \x20  1: 0100007F:0016 0100007F:C350 01 00000000:00000000 02:0009A8F1 00000000     0        0 200 2\n\
             \x20  2: 0100007F:0016 0200000A:C351 06 00000000:00000000 02:0009A8F1 00000000     0        0 300 2\n";
        let own = |inode: u64| HashSet::from([inode]);
        let found = peer_in(table, &own(200));
        assert_eq!(found, Some("127.0.0.1:50000".parse().unwrap()));
        assert_eq!(peer_in(table, &own(100)), None, "it listens");
        assert_eq!(peer_in(table, &own(300)), None, "it is closed");
        assert_eq!(peer_in("header\nshort", &own(1)), None);
    }

    #[test]
    fn addresses_of_both_families() {
        let mapped = "0000000000000000FFFF00000100007F:0016";
        assert_eq!(address(mapped), Some("127.0.0.1:22".parse().unwrap()));
        let v6 = "B80D0120000000000000000001000000:0050";
        assert_eq!(address(v6), Some("[2001:db8::1]:80".parse().unwrap()));
        assert_eq!(address("0100:1"), None);
        assert_eq!(address("zz"), None);
    }

    #[test]
    fn terminals() {
        let stat = |device: i64| format!("12 (a) b (c) S 1 2 3 {device} 4 5");
        assert_eq!(terminal_in(&stat(34816)), Some("pts/0".to_owned()));
        assert_eq!(terminal_in(&stat(34817)), Some("pts/1".to_owned()));
        assert_eq!(terminal_in(&stat(1025)), Some("tty1".to_owned()));
        assert_eq!(terminal_in(&stat(0)), None);
        assert_eq!(terminal_in("garbage"), None);
    }
}
