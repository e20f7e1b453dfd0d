//! One registry out of several: resources of members merged on the wire.
//!
//! Nothing is decoded and written anew. A record survives byte for byte unless one of its named fields has to change:
//! the repository of the whole, the repository of a dependency, places in a list that has become another. What the
//! schema does not know survives as well. The same parts make the same bytes, on any machine.
//!
//! Parts come in order of priority. Where two have the same thing, the first one's is taken.

mod lists;
mod package;

use std::collections::HashSet;

pub use lists::{Bulk, Shares, index, names, names_entry, unknown_records, versions, versions_entry};
pub use package::{Conflict, FilteredPayload, MemberPart, MergedPackage, Origins, Rendered, package};

/// Appends records that the schema does not know, those of one part to a list of `parts`.
///
/// A record that a part of higher priority has too is written once. Lower priorities come first, since of a field that
/// can be there once readers take the last.
fn push_unknown(out: &mut Vec<u8>, parts: &[Vec<&[u8]>]) {
    let mut above = HashSet::new();
    let new: Vec<Vec<&[u8]>> = parts
        .iter()
        .map(|records| {
            let new = records.iter().copied().filter(|record| !above.contains(record)).collect();
            above.extend(records.iter().copied());
            new
        })
        .collect();
    for record in new.iter().rev().flatten() {
        out.extend_from_slice(record);
    }
}

#[cfg(test)]
mod tests;
