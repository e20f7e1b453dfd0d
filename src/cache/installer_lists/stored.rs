//! Stores a snapshot on disk: list and signature in one file, so that both are replaced in one step.
//!
//! ```text
//! hexkeep-list 1 LIST-BYTES SIGNATURE-BYTES SHA256   one line; `-` where there is no signature
//! …                                                  the list, then the signature, as they came
//! ```
//!
//! The digest covers everything after that line. A damaged file is removed, never served.

use bytes::Bytes;

use super::{BundledList, INSTALLS, ListCache, ListSnapshot};
use crate::cache::error::CacheError;
use crate::cache::record::{self, ListRecord};
use crate::cache::status::BypassReason;
use crate::cache::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::installs::List;
use crate::hex::limits;
use crate::store::Store;
use crate::store::index::Tree;
use crate::store::slots::{Area, Slot, SlotContent};

const MAGIC: &str = "hexkeep-list 1";

/// Maximum length of the first line.
const HEAD: usize = 160;

/// Maximum length of the file.
const MOST: u64 = (limits::INSTALLS_LIST + limits::INSTALLS_SIGNATURE + HEAD) as u64;

fn encode(snapshot: &ListSnapshot) -> Vec<u8> {
    let signature = snapshot.signature.as_deref();
    let body = [&snapshot.list[..], signature.unwrap_or_default()].concat();
    let length = signature.map_or_else(|| "-".to_owned(), |signature| signature.len().to_string());
    let mut bytes = format!("{MAGIC} {} {length} {}\n", snapshot.list.len(), Sha256::of(&body)).into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

/// Decodes list and signature; `None` for a damaged file or another format.
pub(super) fn decode(bytes: &Bytes) -> Option<(Bytes, Option<Bytes>)> {
    let end = bytes.iter().take(HEAD).position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let body = bytes.slice(end + 1..);
    let mut words = head.strip_prefix(MAGIC)?.strip_prefix(' ')?.split(' ');
    let list: usize = words.next()?.parse().ok()?;
    let signature: Option<usize> = match words.next()? {
        "-" => None,
        length => Some(length.parse().ok()?),
    };
    let digest = Sha256::from_hex(words.next()?).ok()?;
    let sound = list.checked_add(signature.unwrap_or_default())? == body.len() && Sha256::of(&body) == digest;
    sound.then(|| (body.slice(..list), signature.map(|_| body.slice(list..))))
}

fn slot(list: &List) -> Result<Slot, CacheError> {
    // The words of a path always make a valid file name; the store checks it anyway.
    Slot::new(Area::Lists, INSTALLS, &list.file_name()).map_err(CacheError::internal)
}

/// Reads the snapshot from the disk.
pub(super) fn read(cache: &ListCache, store: &Store, list: &List) -> Result<Option<ListSnapshot>, CacheError> {
    let slot = slot(list)?;
    let content = match store.slots.read(&slot, MOST) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(None),
        Err(error) => {
            // An unreadable file counts as missing: the upstream may still have it.
            tracing::error!(%slot, error = &error as &dyn std::error::Error, "a cached list cannot be read");
            return Ok(None);
        }
    };
    if let Some(snapshot) = found(store, &slot, &content) {
        return Ok(Some(snapshot));
    }
    tracing::error!(%slot, "a cached list is damaged: it is removed and will be fetched again");
    cache.shared.metrics.damaged.get_or_create(&super::labels("list")).inc();
    remove(store, &slot)?;
    Ok(None)
}

fn found(store: &Store, slot: &Slot, content: &SlotContent) -> Option<ListSnapshot> {
    let (list, signature) = decode(&content.bytes)?;
    let digest = Sha256::of(&content.bytes).to_string();
    let record: Option<ListRecord> = record::get(&*store.index, &slot.record_key());
    let snapshot = ListSnapshot {
        list,
        signature,
        // Without a record it is unknown when the list was confirmed: it counts as expired.
        confirmed_at: Timestamp::default(),
        origin: "".into(),
        of_list: Validators::default(),
        of_signature: Validators::default(),
    };
    Some(match record.filter(|record| record.digest == digest) {
        None => snapshot,
        Some(record) => ListSnapshot {
            confirmed_at: record.confirmed_at,
            origin: record.origin.into(),
            of_list: Validators { etag: record.etag, last_modified: record.last_modified },
            of_signature: Validators { etag: record.signature_etag, last_modified: record.signature_last_modified },
            ..snapshot
        },
    })
}

/// Stores a snapshot, then its record; if the file is unchanged, only the record. Returns the reason if there was no
/// room: the snapshot can be served all the same.
pub(super) fn write(
    cache: &ListCache,
    store: &Store,
    list: &List,
    snapshot: &ListSnapshot,
    unchanged: bool,
) -> Option<BypassReason> {
    let slot = slot(list).ok()?;
    let bytes = encode(snapshot);
    let there =
        unchanged && matches!(store.slots.read(&slot, bytes.len() as u64), Ok(Some(there)) if there.bytes == bytes);
    if !there && let Err(error) = store.slots.write(&slot, &bytes) {
        tracing::warn!(%slot, error = &error as &dyn std::error::Error, "a list is served without being stored");
        let reason = if error.is_over_limit() { BypassReason::NoRoom } else { BypassReason::DiskFull };
        cache.shared.metrics.bypassed.get_or_create(&super::labels(reason.word())).inc();
        return Some(reason);
    }
    let record = ListRecord {
        digest: Sha256::of(&bytes).to_string(),
        confirmed_at: snapshot.confirmed_at,
        origin: snapshot.origin.to_string(),
        etag: snapshot.of_list.etag.clone(),
        last_modified: snapshot.of_list.last_modified.clone(),
        signature_etag: snapshot.of_signature.etag.clone(),
        signature_last_modified: snapshot.of_signature.last_modified.clone(),
    };
    if let Err(error) = record::put(&*store.index, &slot.record_key(), &record) {
        tracing::warn!(%error, %slot, "a record of the cache index could not be written");
    }
    None
}

fn remove(store: &Store, slot: &Slot) -> Result<(), CacheError> {
    if let Err(error) = store.index.remove(Tree::Lists, &slot.record_key()) {
        tracing::warn!(%error, %slot, "a record of the cache index could not be removed");
    }
    store.slots.remove(slot).map(drop).map_err(CacheError::internal)
}

/// Every stored list with its slot.
fn all(cache: &ListCache) -> Result<Vec<(List, Slot)>, CacheError> {
    let (slots, _) = cache.shared.store.slots.walk(Area::Lists).map_err(CacheError::internal)?;
    let prefix = format!("{INSTALLS}/");
    let list = |slot: Slot| Some((List::from_file_name(slot.record_key().strip_prefix(&prefix)?)?, slot));
    Ok(slots.into_iter().filter_map(list).collect())
}

/// Every undamaged list as it is stored.
pub(super) fn files(cache: &ListCache) -> Result<Vec<BundledList>, CacheError> {
    let mut files = Vec::new();
    for (list, slot) in all(cache)? {
        let content = cache.shared.store.slots.read(&slot, MOST).map_err(CacheError::internal)?;
        files.extend(content.and_then(|content| {
            let (text, _) = decode(&content.bytes)?;
            Some(BundledList { list, file: content.bytes, text })
        }));
    }
    Ok(files)
}

fn on_disk(cache: &ListCache, slot: &Slot) -> Result<Option<ListSnapshot>, CacheError> {
    let store = &cache.shared.store;
    let content = store.slots.read(slot, (limits::INSTALLS_LIST * 2) as u64).map_err(CacheError::internal)?;
    Ok(content.and_then(|content| found(store, slot, &content)))
}

pub(super) fn purge(cache: &ListCache, seen: &mut dyn FnMut(&List, ListSnapshot)) -> Result<(), CacheError> {
    for (list, slot) in all(cache)? {
        let snapshot = on_disk(cache, &slot)?;
        remove(&cache.shared.store, &slot)?;
        if let Some(snapshot) = snapshot {
            seen(&list, snapshot);
        }
    }
    Ok(())
}

pub(super) fn scrub(cache: &ListCache, repair: bool, seen: &mut dyn FnMut(&List, bool)) -> Result<(), CacheError> {
    for (list, slot) in all(cache)? {
        let sound = on_disk(cache, &slot)?.is_some();
        if !sound && repair {
            remove(&cache.shared.store, &slot)?;
            cache.held.invalidate(&list);
        }
        seen(&list, sound);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot(list: &[u8], signature: Option<&[u8]>) -> ListSnapshot {
        ListSnapshot {
            list: Bytes::copy_from_slice(list),
            signature: signature.map(Bytes::copy_from_slice),
            confirmed_at: Timestamp::default(),
            origin: "".into(),
            of_list: Validators::default(),
            of_signature: Validators::default(),
        }
    }

    #[test]
    fn the_format_of_a_file_is_what_it_was() {
        let bytes = encode(&snapshot(b"list", Some(b"sig")));
        let golden = "hexkeep-list 1 4 3 5a912ead5e4de9282a5d33b003482ef0938dedb536f0fcc525d16b936c3b4339\nlistsig";
        assert_eq!(String::from_utf8(bytes).unwrap(), golden);
        let none = encode(&snapshot(b"list", None));
        assert!(none.starts_with(b"hexkeep-list 1 4 - "));
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(
            list in prop::collection::vec(any::<u8>(), 0..60),
            signature in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        ) {
            let bytes = Bytes::from(encode(&snapshot(&list, signature.as_deref())));
            let (read, signed) = decode(&bytes).unwrap();
            prop_assert_eq!((&read[..], signed.as_deref()), (&list[..], signature.as_deref()));
        }

        #[test]
        fn a_file_with_a_changed_byte_is_dropped(at in 0_usize..90, by in 1_u8..255) {
            let mut bytes = encode(&snapshot(b"a list", Some(b"its signature")));
            let at = at % bytes.len();
            bytes[at] ^= by;
            let decoded = decode(&Bytes::from(bytes));
            // The case of a hexadecimal digit says nothing.
            prop_assert!(decoded.is_none() || by == 0x20);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            decode(&Bytes::from(bytes));
        }
    }
}
