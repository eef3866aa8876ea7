//! The stream of events: numbered, encoded, counted, handed to the sink.

use std::time::Duration;

use crate::{
    detect::baseline::State,
    emit::{Encoder, Label, Sink, SinkError},
    event::{Body, Event, LossCount, Severity, Timestamp},
};

/// Where events go.
#[derive(Debug)]
pub(crate) struct Stream {
    run: String,
    sequence: u64,
    sent: u64,
    findings: u64,
    worst: Option<Severity>,
    baseline: Option<State>,
    limit: Option<u64>,
    encoder: Encoder,
    sink: Sink,
    line: Vec<u8>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events written.
    pub events: u64,
    /// Of them findings.
    pub findings: u64,
    /// The severity of the worst of them.
    pub worst: Option<Severity>,
    /// Records and events lost.
    pub lost: u64,
}

impl Stream {
    /// A stream whose events are named after `run`, which no other run has. After `limit` events
    /// nothing more is taken. Findings are weighed by the trusted state.
    pub(crate) fn new(
        run: String,
        limit: Option<u64>,
        baseline: Option<State>,
        encoder: Encoder,
        sink: Sink,
    ) -> Self {
        Self {
            run,
            sequence: 0,
            sent: 0,
            findings: 0,
            worst: None,
            baseline,
            limit,
            encoder,
            sink,
            line: Vec::with_capacity(4096),
        }
    }

    /// Gives an event its identity, without sending it.
    pub(crate) fn stamp(&mut self, time: Timestamp, mut body: Body) -> Event {
        if let (Body::Finding(finding), Some(baseline)) = (&mut body, &self.baseline) {
            baseline.weigh(finding);
        }
        self.sequence += 1;
        let uid = format!("{}-{}", self.run, self.sequence);
        Event {
            uid,
            sequence: self.sequence,
            time,
            body,
        }
    }

    /// Sends an event.
    pub(crate) fn send(&mut self, event: &Event) {
        if self.is_full() {
            return;
        }
        self.line.clear();
        if let Err(error) = self.encoder.encode(event, &mut self.line) {
            log::error!("event {} cannot be encoded: {error}", event.uid);
            return;
        }
        if self.line.is_empty() {
            return;
        }
        self.sent += 1;
        if let Body::Finding(finding) = &event.body {
            self.findings += 1;
            self.worst = self.worst.max(Some(finding.severity));
        }
        self.sink.send(Label::of(event), &self.line);
    }

    /// Stamps and sends.
    pub(crate) fn tell(&mut self, time: Timestamp, body: Body) -> Event {
        let event = self.stamp(time, body);
        self.send(&event);
        event
    }

    /// Whether the limit of events is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.sent >= limit)
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sink.is_closed()
    }

    /// Events and findings so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            events: self.sent,
            findings: self.findings,
            worst: self.worst,
            lost: 0,
        }
    }

    /// What the sink dropped since this was last asked.
    pub(crate) fn losses(&self) -> Vec<LossCount> {
        self.sink.losses()
    }

    /// Writes what waits. Says what the sink lost over its life.
    pub(crate) fn finish(self, limit: Duration) -> Result<Totals, SinkError> {
        let (findings, worst) = (self.findings, self.worst);
        let written = self.sink.finish(limit)?;
        Ok(Totals {
            events: written.events,
            findings,
            worst,
            lost: written.lost,
        })
    }
}
