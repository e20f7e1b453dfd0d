//! Merges the indexes of the members of a virtual repository, directly in the protobuf wire format.
//!
//! Records are copied, not decoded and encoded again. A record stays the same byte for byte unless one of these fields
//! must change: the name of the repository, the repository of a dependency, or positions in the list of advisories.
//! Unknown fields are preserved. The same parts give the same bytes on any machine.
//!
//! Parts are in order of priority: if two parts contain the same version, the merge takes it from the first.
//! A version of a private part keeps public releases out that differ from it only in the build metadata.

mod lists;
mod package;
mod private_versions;

use std::collections::HashSet;

pub use lists::{Bulk, SelectProviders, index, names, names_entry, unknown_records, versions, versions_entry};
pub use package::{Conflict, FilteredPayload, MemberPart, MergedPackage, Origins, Rendered, package};
pub use private_versions::PrivateVersions;

/// Appends the records of unknown fields. `parts` has one list of records for each part.
///
/// A record that several parts contain is written once, with the highest priority. Parts of lower priority come first,
/// because readers take the last value of a field that is not repeated.
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
