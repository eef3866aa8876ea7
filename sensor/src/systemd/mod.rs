//! What systemd is and does, as facts: unit names, load paths, unit files, cgroups, the environment
//! of services, and what the manager itself tells on the [`bus`].

pub mod brought;
pub mod bus;
pub mod calendar;
pub mod cgroup;
pub mod command;
pub mod entry;
pub mod environment;
pub(crate) mod environment_names;
pub mod installed;
pub mod inventory;
pub mod known_command;
pub mod load_path;
pub mod load_paths;
pub mod name_map;
pub mod presence;
pub mod service;
pub mod snap_unit;
pub mod span;
pub mod targets;
pub mod timer;
pub mod unit_file;
pub mod unit_name;
pub mod wire;
pub mod words;
