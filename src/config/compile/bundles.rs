//! Reads the section `bundles`.

use crate::config::fault::Fault;
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::settings::BundleSettings;
use crate::trust::Fingerprint;

pub(super) fn bundles(mut section: Section<'_>) -> BundleSettings {
    let trusted_keys = section.field("trusted_keys").and_then(|field| field.list(fingerprint)).unwrap_or_default();
    section.finish();
    BundleSettings { trusted_keys }
}

fn fingerprint(field: &Field<'_>) -> Option<Fingerprint> {
    let text = field.text()?;
    field.check(text.parse().map_err(|_| Fault::BundleKey(Excerpt::new(text))))
}
