//! Fixing a table, and releasing it.

use rustler::{Env, NifResult};

use super::lifecycle::{check_read, lock};
use crate::fixation;
use crate::resource::TableRef;

/// Whether the caller ever fixed the table that it releases is nobody's concern, as in ETS.
#[rustler::nif]
fn safe_fixtable(env: Env, table: TableRef, fix: bool) -> NifResult<bool> {
    drop(lock(env, &table)?);
    check_read(env, &table)?;
    let pid = env.pid();
    if fix {
        fixation::fix(&table, env.as_c_arg(), pid.as_c_arg());
    } else {
        fixation::release(&table, env.as_c_arg(), pid.as_c_arg());
    }
    Ok(true)
}
