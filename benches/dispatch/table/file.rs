//! The table in files: as it is printed, and with all its samples.

use std::io;
use std::path::PathBuf;
use std::{env, fs};

use serde_json::{Value, json};

use super::{Row, Table};

/// Writes `table.txt` and `table.json`; into which folder.
pub(super) fn write(table: &Table) -> io::Result<PathBuf> {
    let folder = folder()?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("table.txt"), table.to_string())?;
    let rows: Vec<Value> = table.0.iter().map(row).collect();
    fs::write(folder.join("table.json"), serde_json::to_string_pretty(&rows)?)?;
    Ok(folder)
}

/// Where criterion has its files: this program is in `target/release/deps`.
fn folder() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    Ok(target.join("criterion"))
}

/// Times are in seconds, memory is in KiB.
fn row(row: &Row) -> Value {
    let samples: Vec<Value> =
        row.samples.iter().map(|sample| json!({ "value": sample.value, "base": sample.base })).collect();
    json!({ "name": row.name.trim(), "unit": format!("{:?}", row.unit), "against": row.base, "samples": samples })
}
