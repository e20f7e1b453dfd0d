//! Resources that were signed here, kept on disk: a signature is made once for a payload, a key and an encoder.

use super::error::CacheError;
use super::record::{self, SealedRecord};
use crate::hex::checksum::Hasher;
use crate::hex::envelope::Envelope;
use crate::hex::limits;
use crate::store::Store;
use crate::store::slots::Slot;
use crate::trust::{ENCODER_ID, Origin, SignedResource, Signer, verify};

/// Signs a payload, or takes what `slot` has kept of the same payload, key and encoder; says whether it was signed now.
/// Blocks.
pub fn seal(
    store: &Store,
    signer: &Signer,
    slot: &Slot,
    origin: &Origin<'_>,
    payload: &[u8],
) -> Result<(SignedResource, bool), CacheError> {
    let derived_from = derived_key(signer, payload);
    let memo: Option<SealedRecord> = record::get(&*store.index, &slot.record_key());
    if memo.is_some_and(|memo| memo.derived_from == derived_from)
        && let Ok(Some(content)) = store.slots.read(slot, limits::ENVELOPE as u64)
        && let Ok(envelope) = Envelope::open(content.bytes, origin.resource.max_payload())
        && envelope.payload == *payload
        && let Ok(sealed) = verify(envelope, std::slice::from_ref(signer.public_key()), origin)
    {
        return Ok((sealed.pass_through(), false));
    }
    let sealed = signer.seal(payload).map_err(CacheError::internal)?;
    let kept = store
        .slots
        .write(slot, sealed.body())
        .is_ok_and(|()| record::put(&*store.index, &slot.record_key(), &SealedRecord { derived_from }).is_ok());
    if !kept {
        // A memo that is not kept costs one signature after a restart.
        tracing::debug!(%slot, "a signed resource was not kept on disk");
    }
    Ok((sealed, true))
}

/// Whether what a slot has kept is whole, and signed by the key that its record says. It may be that of an older view or
/// of a key that is no longer configured: then it is not used, and replaced at the next signature. Blocks.
pub fn is_sound(store: &Store, signer: Option<&Signer>, slot: &Slot, origin: &Origin<'_>) -> Result<bool, CacheError> {
    let content = store.slots.read(slot, limits::ENVELOPE as u64).map_err(CacheError::internal)?;
    // Gone since it was listed.
    let Some(content) = content else { return Ok(true) };
    let Ok(envelope) = Envelope::open(content.bytes, origin.resource.max_payload()) else { return Ok(false) };
    let memo: Option<SealedRecord> = record::get(&*store.index, &slot.record_key());
    let is_of = |signer: &&Signer| {
        memo.as_ref().is_some_and(|memo| memo.derived_from == derived_key(signer, &envelope.payload))
    };
    let Some(signer) = signer.filter(is_of) else { return Ok(true) };
    Ok(verify(envelope, std::slice::from_ref(signer.public_key()), origin).is_ok())
}

/// Everything that sealed bytes depend on.
fn derived_key(signer: &Signer, payload: &[u8]) -> String {
    let mut hasher = Hasher::new();
    for part in [signer.fingerprint().as_str().as_bytes(), ENCODER_ID.as_bytes(), payload] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finish().to_string()
}
