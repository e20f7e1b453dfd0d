//! Reads the sections `auth` and `fetch_log`.

use crate::config::fields::{Field, Section};
use crate::config::settings::{AddressDetail, AuthSettings, FetchLogSettings, RateLimits, TotpMode};
use crate::config::{bounds, defaults};

pub(super) fn auth(mut section: Section<'_>) -> AuthSettings {
    let settings = AuthSettings {
        sign_up: section.get("sign_up", false, Field::boolean),
        basic: section.get("basic", true, Field::boolean),
        totp: section.get("totp", TotpMode::Optional, Field::choice),
        rate_limits: rate_limits(section.section("rate_limits")),
    };
    section.finish();
    settings
}

pub(super) fn fetch_log(mut section: Section<'_>) -> FetchLogSettings {
    let settings = FetchLogSettings {
        retain: section.get("retain", defaults::FETCH_LOG_RETAIN, |field| field.duration(&bounds::FETCH_LOG_RETAIN)),
        addresses: section.get("addresses", AddressDetail::Prefix, Field::choice),
    };
    section.finish();
    settings
}

fn rate_limits(mut section: Section<'_>) -> RateLimits {
    let mut limit =
        |key, default| section.get(key, default, |field: &Field<'_>| field.number_limit(&bounds::RATE_LIMIT));
    let limits = RateLimits {
        per_account: limit("per_account", defaults::RATE_PER_ACCOUNT),
        per_address: limit("per_address", defaults::RATE_PER_ADDRESS),
        failed_logins: limit("failed_logins", defaults::FAILED_LOGINS),
    };
    section.finish();
    limits
}
