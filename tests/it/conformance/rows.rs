//! The requests, in the order of server-api §2. `{n}` stands for something of each caller's own.

use reqwest::Method;

/// A request that every caller makes.
pub(super) struct Row {
    /// Of the snapshot.
    pub(super) name: &'static str,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) sent: Sent,
    /// What has to be there, or not, whenever it is made.
    pub(super) before: Before,
    /// Whether it needs no credential although it changes something.
    pub(super) is_for_everybody: bool,
    /// Whether what it tells is everybody's.
    pub(super) is_open: bool,
    /// Whether a minute passes before it: an account may make so many requests in each.
    pub(super) is_later: bool,
    /// Whether what it tells when it succeeds is another thing in each run: a secret, a path.
    pub(super) varies: bool,
}

/// A body.
#[derive(Clone, Copy)]
pub(super) enum Sent {
    Nothing,
    /// A map, written in the format that is tested.
    Fields(&'static str),
    /// A tarball of this name and version.
    Package(&'static str, &'static str),
    /// Documentation.
    Docs,
    /// These bytes.
    Text(&'static str),
}

/// What is brought about before a request.
#[derive(Clone, Copy)]
pub(super) enum Before {
    Nothing,
    /// `core` has a release 9.9.9.
    Release,
    /// `core` has no release 2.0.0.
    NoRelease,
    /// `core` 1.0.0 has documentation.
    Docs,
    /// `core` 1.0.0 is retired.
    Retired,
    /// mia owns nothing of `core`.
    NoOwner,
    /// mia is a maintainer of `core`.
    Owner,
    /// `new` is not in the organization.
    NoMember,
    /// `new` is.
    Member,
    /// The caller has a key `spare-{n}`, and so has the organization.
    Key,
}

const fn row(name: &'static str, method: Method, path: &'static str) -> Row {
    let (sent, before) = (Sent::Nothing, Before::Nothing);
    Row { name, method, path, sent, before, is_for_everybody: false, is_open: false, is_later: false, varies: false }
}

const fn get(name: &'static str, path: &'static str) -> Row {
    row(name, Method::GET, path)
}

const fn post(name: &'static str, path: &'static str, sent: Sent) -> Row {
    row(name, Method::POST, path).sends(sent)
}

const fn put(name: &'static str, path: &'static str, sent: Sent) -> Row {
    row(name, Method::PUT, path).sends(sent)
}

const fn delete(name: &'static str, path: &'static str) -> Row {
    row(name, Method::DELETE, path)
}

impl Row {
    const fn sends(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    const fn with(mut self, before: Before) -> Self {
        self.before = before;
        self
    }

    const fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    const fn later(mut self) -> Self {
        self.is_later = true;
        self
    }

    const fn varying(mut self) -> Self {
        self.varies = true;
        self
    }

    const fn for_everybody(mut self) -> Self {
        self.is_for_everybody = true;
        self
    }
}

const KEY: &str = r#"{"name": "made-{n}", "permissions": [{"domain": "api", "resource": "read"}]}"#;

pub(super) const ROWS: &[Row] = &[
    // What there is.
    get("index", "/api/").open(),
    get("index_without_slash", "/api").open(),
    get("repositories", "/api/repos"),
    get("repository", "/api/repos/acme"),
    get("repository_open", "/api/repos/lib").open(),
    get("repository_unknown", "/api/repos/nowhere"),
    get("unknown_route", "/api/nothing"),
    row("unknown_method", Method::PATCH, "/api/repos/acme/packages/core").for_everybody(),
    // Logs, and who owns what, before the rows below have filled them.
    get("package_audit_log", "/api/repos/acme/packages/quiet/audit-logs"),
    get("own_audit_log", "/api/users/me/audit-logs"),
    get("organization_audit_log", "/api/orgs/acme/audit-logs"),
    get("me", "/api/users/me"),
    get("me_at_a_repository", "/api/repos/acme/users/me"),
    get("user", "/api/users/otto"),
    // Packages.
    get("packages", "/api/repos/acme/packages"),
    get("packages_everywhere", "/api/packages"),
    get("packages_open", "/api/repos/lib/packages").open(),
    get("packages_searched", "/api/repos/acme/packages?search=depends:quiet&sort=updated_at&per_page=1"),
    get("packages_behind_the_last_page", "/api/repos/acme/packages?page=9"),
    get("packages_unknown_repository", "/api/repos/nowhere/packages"),
    get("package", "/api/repos/acme/packages/core"),
    get("package_at_own_base", "/repos/acme/api/packages/quiet"),
    get("package_open", "/api/repos/lib/packages/shared").open(),
    get("package_missing", "/api/repos/acme/packages/nothing"),
    get("package_of_remote", "/api/packages/core"),
    // Releases.
    get("release", "/api/repos/acme/packages/core/releases/1.0.0"),
    get("release_open", "/api/repos/lib/packages/shared/releases/0.3.1").open(),
    get("release_missing", "/api/repos/acme/packages/core/releases/3.0.0"),
    get("release_of_no_version", "/api/repos/acme/packages/core/releases/newest"),
    post("publish", "/api/repos/acme/publish", Sent::Package("one_{n}", "1.0.0")),
    post("publish_by_name", "/api/repos/acme/packages/two_{n}/releases", Sent::Package("two_{n}", "1.0.0")),
    post("publish_existing_package", "/api/repos/acme/packages/core/releases", Sent::Package("core", "2.0.0"))
        .with(Before::NoRelease),
    post("publish_replaced", "/api/repos/acme/packages/core/releases?replace=true", Sent::Package("core", "9.9.9"))
        .with(Before::Release),
    post(
        "publish_not_replaced",
        "/api/repos/acme/packages/core/releases?replace=false",
        Sent::Package("core", "9.9.9"),
    )
    .with(Before::Release),
    post("publish_other_name", "/api/repos/acme/packages/core/releases", Sent::Package("quiet", "1.0.0")),
    post("publish_no_tarball", "/api/repos/acme/packages/core/releases", Sent::Text("nothing")),
    post("publish_open", "/api/repos/lib/packages/three_{n}/releases", Sent::Package("three_{n}", "1.0.0")),
    post("publish_to_remote", "/api/publish", Sent::Package("core", "1.0.0")),
    post("publish_to_unknown", "/api/repos/nowhere/publish", Sent::Package("core", "1.0.0")),
    put("tarball_put", "/repos/acme/tarballs/", Sent::Package("four_{n}", "1.0.0")),
    put("tarball_put_by_name", "/repos/acme/tarballs/five_{n}-1.0.0.tar", Sent::Package("five_{n}", "1.0.0")),
    put("tarball_put_by_other_name", "/repos/acme/tarballs/core-7.0.0.tar", Sent::Package("core", "7.0.1")),
    delete("release_revert", "/api/repos/acme/packages/core/releases/9.9.9").with(Before::Release),
    delete("release_revert_missing", "/api/repos/acme/packages/core/releases/3.0.0"),
    delete("release_revert_of_missing_package", "/api/repos/acme/packages/nothing/releases/3.0.0"),
    // Docs.
    get("docs_none", "/api/repos/acme/packages/quiet/releases/1.0.0/docs"),
    get("docs", "/api/repos/acme/packages/core/releases/1.0.0/docs").with(Before::Docs),
    post("docs_publish", "/api/repos/acme/packages/core/releases/1.0.0/docs", Sent::Docs),
    post("docs_publish_garbage", "/api/repos/acme/packages/core/releases/1.0.0/docs", Sent::Text("nothing")),
    post("docs_publish_missing_release", "/api/repos/acme/packages/core/releases/3.0.0/docs", Sent::Docs),
    delete("docs_delete", "/api/repos/acme/packages/core/releases/1.0.0/docs").with(Before::Docs),
    delete("docs_delete_none", "/api/repos/acme/packages/quiet/releases/1.0.0/docs"),
    // Retirement.
    post(
        "retire",
        "/api/repos/acme/packages/core/releases/1.0.0/retire",
        Sent::Fields(r#"{"reason": "security", "message": "use 2.0"}"#),
    ),
    post("retire_without_message", "/api/repos/acme/packages/core/releases/1.0.0/retire", Sent::Fields(RETIRED)),
    post("retire_invalid", "/api/repos/acme/packages/core/releases/1.0.0/retire", Sent::Fields(RETIRED_WRONGLY)),
    post("retire_missing", "/api/repos/acme/packages/core/releases/3.0.0/retire", Sent::Fields(RETIRED)),
    post(
        "retire_all",
        "/api/repos/acme/packages/core/retire",
        Sent::Fields(r#"{"reason": "renamed", "replace": true}"#),
    ),
    delete("unretire", "/api/repos/acme/packages/core/releases/1.0.0/retire").with(Before::Retired),
    delete("unretire_missing", "/api/repos/acme/packages/core/releases/3.0.0/retire"),
    // Owners.
    get("owners", "/api/repos/acme/packages/core/owners").with(Before::NoOwner),
    get("owner", "/api/repos/acme/packages/core/owners/otto"),
    get("owner_missing", "/api/repos/acme/packages/core/owners/rita"),
    put("owner_add", "/api/repos/acme/packages/core/owners/mia", Sent::Nothing).with(Before::NoOwner),
    put(
        "owner_level",
        "/api/repos/acme/packages/core/owners/mia",
        Sent::Fields(r#"{"level": "full", "transfer": false}"#),
    )
    .with(Before::Owner),
    put("owner_level_invalid", "/api/repos/acme/packages/core/owners/mia", Sent::Fields(r#"{"level": "boss"}"#)),
    put("owner_without_access", "/api/repos/acme/packages/core/owners/sam", Sent::Nothing),
    put("owner_organization", "/api/repos/acme/packages/core/owners/acme", Sent::Nothing),
    put(
        "owner_transfer_to_organization",
        "/api/repos/lib/packages/shared/owners/acme",
        Sent::Fields(r#"{"level": "full", "transfer": true}"#),
    ),
    get("owners_organization", "/api/repos/lib/packages/shared/owners").open(),
    put("owner_unknown", "/api/repos/acme/packages/core/owners/nobody", Sent::Nothing),
    delete("owner_remove", "/api/repos/acme/packages/core/owners/mia").with(Before::Owner),
    delete("owner_remove_missing", "/api/repos/acme/packages/core/owners/rita"),
    // Users.
    post(
        "user_sign_up",
        "/api/users",
        Sent::Fields(r#"{"username": "fresh", "email": "fresh@example.com", "password": "long enough"}"#),
    )
    .for_everybody()
    .later(),
    get("user_missing", "/api/users/nobody"),
    // Organizations.
    get("organizations", "/api/orgs"),
    get("organization", "/api/orgs/acme").with(Before::NoMember),
    get("organization_missing", "/api/orgs/nowhere"),
    post("organization_seats", "/api/orgs/acme", Sent::Fields(r#"{"seats": 12}"#)),
    get("members", "/api/orgs/acme/members").with(Before::NoMember),
    get("member", "/api/orgs/acme/members/rita"),
    get("member_missing", "/api/orgs/acme/members/sam"),
    post("member_add", "/api/orgs/acme/members", Sent::Fields(r#"{"name": "new", "role": "read"}"#))
        .with(Before::NoMember),
    post("member_add_twice", "/api/orgs/acme/members", Sent::Fields(r#"{"name": "rita", "role": "read"}"#)),
    post("member_add_unknown", "/api/orgs/acme/members", Sent::Fields(r#"{"name": "nobody", "role": "read"}"#)),
    post("member_add_invalid", "/api/orgs/acme/members", Sent::Fields(r#"{"name": "new", "role": "king"}"#)),
    post("member_role", "/api/orgs/acme/members/new", Sent::Fields(r#"{"role": "write"}"#)).with(Before::Member),
    post("member_role_missing", "/api/orgs/acme/members/sam", Sent::Fields(r#"{"role": "write"}"#)),
    delete("member_remove", "/api/orgs/acme/members/new").with(Before::Member),
    delete("member_remove_missing", "/api/orgs/acme/members/sam"),
    // Keys.
    get("keys", "/api/keys"),
    get("key", "/api/keys/test"),
    get("key_missing", "/api/keys/nothing"),
    post("key_create", "/api/keys", Sent::Fields(KEY)),
    post("key_create_default", "/api/keys", Sent::Fields(r#"{"name": "everything-{n}"}"#)),
    post("key_create_invalid", "/api/keys", Sent::Fields(r#"{"name": "", "permissions": [{"domain": "moon"}]}"#)),
    post(
        "key_create_out_of_reach",
        "/api/keys",
        Sent::Fields(
            r#"{"name": "x", "permissions": [{"domain": "repository", "resource": "acme"}, {"domain": "repository", "resource": "nowhere"}]}"#,
        ),
    ),
    post("key_create_past", "/api/keys", Sent::Fields(r#"{"name": "x", "revoke_at": "2001-01-01T00:00:00Z"}"#)),
    delete("key_revoke", "/api/keys/spare-{n}").with(Before::Key),
    delete("key_revoke_missing", "/api/keys/nothing"),
    get("organization_key", "/api/orgs/acme/keys/robot"),
    get("organization_key_missing", "/api/orgs/acme/keys/nothing"),
    post("organization_key_create", "/api/orgs/acme/keys", Sent::Fields(KEY)),
    delete("organization_key_revoke", "/api/orgs/acme/keys/spare-{n}").with(Before::Key),
    delete("organization_key_revoke_missing", "/api/orgs/acme/keys/nothing"),
    // What a credential is good for.
    get("auth_api", "/api/auth?domain=api&resource=write"),
    get("auth_repository", "/api/auth?domain=repository&resource=acme"),
    get("auth_repository_unknown", "/api/auth?domain=repository&resource=nowhere"),
    get("auth_repositories", "/api/auth?domain=repositories"),
    get("auth_package", "/api/auth?domain=package&resource=acme/core"),
    get("auth_docs", "/api/auth?domain=docs&resource=acme"),
    get("auth_without_domain", "/api/auth"),
    // Why a name is answered as it is.
    get("explain", "/api/repos/acme/explain/core").later(),
    get("explain_at_own_base", "/repos/acme/api/explain/core/1.0.0"),
    get("explain_open", "/api/repos/lib/explain/shared").open(),
    get("explain_missing", "/api/repos/acme/explain/nothing"),
    get("explain_of_no_version", "/api/repos/acme/explain/core/newest"),
    get("explain_unknown_repository", "/api/repos/nowhere/explain/core"),
    // What administrators order.
    get("admin_config", "/api/admin/config").varying().later(),
    get("admin_public_keys", "/api/admin/public-keys/acme").varying(),
    get("admin_public_keys_unknown_repository", "/api/admin/public-keys/nowhere"),
    post("admin_purge", "/api/admin/purge", Sent::Fields(r#"{"repository": "hexpm"}"#)),
    post("admin_purge_invalid", "/api/admin/purge", Sent::Fields(r#"{"repository": 7}"#)),
    post("admin_reload", "/api/admin/reload", Sent::Nothing).varying(),
    post("admin_order", "/api/admin/grant-list", Sent::Nothing),
    post("admin_order_invalid", "/api/admin/user-active", Sent::Fields(r#"{"name": "new"}"#)),
    post("admin_order_refused", "/api/admin/user-active", Sent::Fields(r#"{"name": "nobody", "active": true}"#)),
    post("admin_second_factor", "/api/admin/user-totp", Sent::Fields(r#"{"name": "new"}"#)).varying(),
    post(
        "admin_second_factor_wrong_code",
        "/api/admin/user-totp-confirm",
        Sent::Fields(r#"{"name": "new", "code": "000000"}"#),
    ),
    post("admin_second_factor_off", "/api/admin/user-totp-off", Sent::Fields(r#"{"name": "new"}"#)),
    // Where users publish new names, and owners alone change what is there.
    post("commons_publish", "/api/repos/commons/packages/mine_{n}/releases", Sent::Package("mine_{n}", "1.0.0"))
        .later(),
    post("commons_publish_any", "/api/repos/commons/publish", Sent::Package("own_{n}", "1.0.0")),
    post("commons_publish_existing", "/api/repos/commons/packages/common/releases", Sent::Package("common", "1.0.0")),
    post("commons_publish_any_existing", "/api/repos/commons/publish", Sent::Package("common", "1.0.0")),
    post("commons_docs", "/api/repos/commons/packages/common/releases/1.0.0/docs", Sent::Docs),
    post("commons_retire", "/api/repos/commons/packages/common/releases/1.0.0/retire", Sent::Fields(RETIRED)),
    post("commons_retire_all", "/api/repos/commons/packages/common/retire", Sent::Fields(RETIRED)),
    put(
        "commons_owner_add",
        "/api/repos/commons/packages/common/owners/mia",
        Sent::Fields(r#"{"level": "maintainer"}"#),
    ),
    delete("commons_owner_remove_last", "/api/repos/commons/packages/common/owners/root"),
    get("auth_package_to_be", "/api/auth?domain=package&resource=commons/brand_new"),
];

const RETIRED: &str = r#"{"reason": "deprecated", "message": null}"#;
const RETIRED_WRONGLY: &str = r#"{"reason": "boredom", "message": "no"}"#;
