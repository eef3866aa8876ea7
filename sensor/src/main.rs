//! The `whodunit` binary.

fn main() {}
