//! Descriptions of packages, releases, owners and their history for a caller. What the caller's rights, the name rules
//! and the policies exclude has been removed.
//!
//! Only this module creates these values, and their sources stay inside `repository`. So the code that shows them, as
//! JSON or as a page, cannot forget to remove something.

mod audit;
mod owners;
mod package;
mod package_home;
mod release;
mod search;

pub use super::remote::FoundName;
pub use owners::{OwnersView, PackageOwners, UpstreamUser};
pub use package::{PackageContent, PackageView};
pub use release::{ReleaseContent, ReleaseView};
pub use search::{FoundPackages, PackageSearch, SearchIn};

use super::private_text::TypedText;
use super::{Catalog, RequestContext};

/// The input for a description: the repositories of one configuration, and the request.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The repositories.
    pub catalog: &'a Catalog,
    /// The request.
    pub context: RequestContext,
}

impl Reading<'_> {
    /// Whether a text contains a private name of this server. The names of all repositories are checked, because a name
    /// that was sent to an upstream stays known there.
    async fn is_named_privately(self, text: &str) -> bool {
        let text = TypedText::of(text);
        for repository in self.catalog.iter() {
            if repository.is_named_privately(&text, self.context).await {
                return true;
            }
        }
        false
    }
}
