//! Exit codes: 0 fine, 1 findings or a problem found, 2 usage or configuration, 3 missing
//! privilege, 4 unsupported kernel.

use std::process::ExitCode;

use crate::kernel::{LoadError, fanotify::FanotifyError};

/// Findings, where that was asked for.
pub(crate) const FOUND: u8 = 1;
/// Usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// Missing privilege.
pub(crate) const PRIVILEGE: u8 = 3;
/// Unsupported kernel.
pub(crate) const KERNEL: u8 = 4;

/// The exit code for an error: by the first cause that says what kind it is.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    let code = error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<LoadError>() {
            return Some(match error {
                LoadError::Privilege(_) => PRIVILEGE,
                LoadError::Btf(_) | LoadError::Unsupported(_) | LoadError::Mismatch(_) => KERNEL,
            });
        }
        match cause.downcast_ref::<FanotifyError>()? {
            FanotifyError::Privilege => Some(PRIVILEGE),
            _ => Some(KERNEL),
        }
    });
    ExitCode::from(code.unwrap_or(USAGE))
}
