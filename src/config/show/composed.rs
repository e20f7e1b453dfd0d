//! Prints a virtual repository.

use serde::Serialize;

use super::Common;
use crate::choice::Choice as _;
use crate::config::settings::VirtualSettings;

#[derive(Serialize)]
pub(super) struct Virtual {
    r#type: &'static str,
    #[serde(flatten)]
    common: Common,
    members: Vec<Member>,
    merge: &'static str,
    merge_across: Vec<String>,
    reserve: Vec<String>,
    allow_shadow: Vec<String>,
    grants_read: Vec<String>,
    on_member_failure: &'static str,
    deploy_to: Option<String>,
    policy: Option<String>,
}

#[derive(Serialize)]
struct Member {
    repository: String,
    include: Vec<String>,
    exclude: Vec<String>,
    private: bool,
}

impl Virtual {
    pub(super) fn of(composed: &VirtualSettings) -> Self {
        Self {
            r#type: "virtual",
            common: Common::of(&composed.common),
            members: composed
                .members
                .iter()
                .map(|member| Member {
                    repository: member.repository.to_string(),
                    include: member.include.patterns.clone(),
                    exclude: member.exclude.patterns.clone(),
                    private: member.private,
                })
                .collect(),
            merge: composed.merge.word(),
            merge_across: composed.merge_across.patterns.clone(),
            reserve: composed.reserve.patterns.clone(),
            allow_shadow: composed.allow_shadow.patterns.clone(),
            grants_read: composed.grants_read.iter().map(ToString::to_string).collect(),
            on_member_failure: composed.on_member_failure.word(),
            deploy_to: composed.deploy_to.as_ref().map(ToString::to_string),
            policy: composed.policy.as_ref().map(ToString::to_string),
        }
    }
}
