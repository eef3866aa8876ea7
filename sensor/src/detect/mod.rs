//! What a correlation means: findings, their words and their severity.

mod changed_unit_ran;

pub use changed_unit_ran::changed_unit_ran;
