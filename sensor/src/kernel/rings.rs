//! The three rings, read as one stream in the order of time.

use std::{io, os::fd::AsFd as _};

use aya::maps::{MapData, RingBuf};

use super::{
    decode::{DecodeError, decode},
    record::Record,
    wake::Wake,
};
use crate::event::Tier;

/// At most this many records are taken in one go, so that a flood cannot hold the agent up.
const BATCH_MAX: usize = 2048;

/// All rings.
pub struct Rings {
    priority: RingBuf<MapData>,
    requests: RingBuf<MapData>,
    bulk: RingBuf<MapData>,
    tier: Tier,
}

impl Rings {
    pub(crate) fn new(
        priority: RingBuf<MapData>,
        requests: RingBuf<MapData>,
        bulk: RingBuf<MapData>,
        tier: Tier,
    ) -> Self {
        Self {
            priority,
            requests,
            bulk,
            tier,
        }
    }

    /// What wakes when records come: priority, requests, bulk.
    pub fn wakes(&self) -> io::Result<[Wake; 3]> {
        let wake = |ring: &RingBuf<MapData>| Wake::new(ring.as_fd().try_clone_to_owned()?);
        Ok([
            wake(&self.priority)?,
            wake(&self.requests)?,
            wake(&self.bulk)?,
        ])
    }

    /// Takes what is there, in the order of time.
    ///
    /// The priority ring is emptied first: whatever led to one of its records (the request for
    /// the change, the exec of the process that makes it) was put into the other rings before, and
    /// so is found there.
    pub fn take(&mut self, records: &mut Vec<Record>, errors: &mut Vec<DecodeError>) {
        let tier = self.tier;
        for ring in [&mut self.priority, &mut self.requests, &mut self.bulk] {
            for _ in 0..BATCH_MAX {
                let Some(item) = ring.next() else { break };
                match decode(&item, tier) {
                    Ok(record) => records.push(record),
                    Err(error) => errors.push(error),
                }
            }
        }
        records.sort_by_key(Record::time);
    }
}
