//! Who can request an access package, by its catalog and its policies.

use std::fmt;

use super::model::{AccessPackage, AssignmentPolicy, CatalogState, TargetScope};

/// Whom an access package lets request it, as far as partners are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideAccess {
    /// People outside of the directory.
    Outsiders,
    /// Only guests that are in the directory already.
    GuestsOnly,
    /// Neither.
    Nobody,
    /// The policies were not read, or one has a member that this program does not know.
    Unknown,
}

/// Why partners cannot request an access package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The catalog is not published.
    CatalogUnpublished,
    /// The catalog is not enabled for external users.
    CatalogNotExternal,
    /// A policy for users outside of the directory exists, but self-request is off.
    SelfRequestOff,
    /// No policy is for users outside of the directory.
    NoExternalPolicy,
}

impl TargetScope {
    /// Whether it is "For users not in your directory".
    #[must_use]
    pub fn is_external(self) -> bool {
        matches!(
            self,
            Self::SpecificConnectedOrganizationUsers
                | Self::AllConfiguredConnectedOrganizationUsers
                | Self::AllExternalUsers
        )
    }

    /// Whether guests that are in the directory may be among its users.
    #[must_use]
    pub fn may_have_guests(self) -> bool {
        matches!(self, Self::SpecificDirectoryUsers | Self::AllDirectoryUsers)
    }
}

impl AssignmentPolicy {
    /// Whether its users may request access for themselves; `None` if Graph does not say so.
    #[must_use]
    pub fn self_request(&self) -> Option<bool> {
        let settings = self.requestor_settings.as_ref();
        settings?.enable_targets_to_self_add_access
    }
}

impl OutsideAccess {
    /// What these policies allow.
    #[must_use]
    pub fn of(policies: &[AssignmentPolicy]) -> Self {
        let allows = |it: &&AssignmentPolicy| it.self_request() != Some(false);
        let mut open = policies.iter().filter(allows).peekable();
        let says_so = |it: &AssignmentPolicy| it.self_request() == Some(true);
        if open.peek().is_none() {
            return Self::Nobody;
        }
        let open: Vec<_> = open.collect();
        let scope = |it: &AssignmentPolicy| it.allowed_target_scope;
        if open.iter().any(|it| scope(it).is_external() && says_so(it)) {
            return Self::Outsiders;
        }
        let unclear = |it: &AssignmentPolicy| {
            scope(it) == TargetScope::Unknown
                || (!says_so(it) && (scope(it).is_external() || scope(it).may_have_guests()))
        };
        if open.iter().any(|it| unclear(it)) {
            return Self::Unknown;
        }
        if open.iter().any(|it| scope(it).may_have_guests()) {
            return Self::GuestsOnly;
        }
        Self::Nobody
    }
}

impl AccessPackage {
    /// Whom its policies let request it.
    #[must_use]
    pub fn outside_access(&self) -> OutsideAccess {
        let policies = self.assignment_policies.as_deref();
        policies.map_or(OutsideAccess::Unknown, OutsideAccess::of)
    }

    /// The same with the policies of the list of all policies, because Graph may leave out some when it expands
    /// them. If the package's own policies were not read, those of the list count only if they suffice.
    #[must_use]
    pub fn with_listed(mut self, listed: &[AssignmentPolicy]) -> Self {
        if self.assignment_policies.is_none()
            && OutsideAccess::of(listed) == OutsideAccess::Outsiders
        {
            self.assignment_policies = Some(Vec::new());
        }
        if let Some(policies) = &mut self.assignment_policies {
            for policy in listed {
                if !policies.contains(policy) {
                    policies.push(policy.clone());
                }
            }
        }
        self
    }

    /// Every reason why people outside of the directory cannot request it, as far as it was read.
    #[must_use]
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        if let Some(catalog) = &self.catalog {
            if catalog.state == CatalogState::Unpublished {
                obstacles.push(Obstacle::CatalogUnpublished);
            }
            if catalog.is_externally_visible == Some(false) {
                obstacles.push(Obstacle::CatalogNotExternal);
            }
        }
        if let OutsideAccess::Nobody | OutsideAccess::GuestsOnly = self.outside_access() {
            let mut policies = self.assignment_policies.iter().flatten();
            let closed = policies.any(|it| it.allowed_target_scope.is_external());
            obstacles.push(if closed {
                Obstacle::SelfRequestOff
            } else {
                Obstacle::NoExternalPolicy
            });
        }
        obstacles
    }
}

impl Obstacle {
    /// Whether it is a setting of the catalog; otherwise it is one of the policies.
    #[must_use]
    pub fn is_of_catalog(self) -> bool {
        matches!(self, Self::CatalogUnpublished | Self::CatalogNotExternal)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CatalogUnpublished => "its catalog is not enabled (unpublished)",
            Self::CatalogNotExternal => "its catalog is not enabled for external users",
            Self::SelfRequestOff => {
                "self-request is off in its policies for users not in the directory"
            }
            Self::NoExternalPolicy => "it has no policy for users not in the directory",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entra::{Catalog, RequestorSettings};

    fn policy(scope: TargetScope, self_request: Option<bool>) -> AssignmentPolicy {
        AssignmentPolicy {
            allowed_target_scope: scope,
            requestor_settings: Some(RequestorSettings {
                enable_targets_to_self_add_access: self_request,
            }),
            ..AssignmentPolicy::default()
        }
    }

    #[test]
    fn the_most_open_policy_decides_and_what_is_unknown_is_not_nobody() {
        use OutsideAccess::{GuestsOnly, Nobody, Outsiders, Unknown};
        use TargetScope as T;
        let yes = |scope| policy(scope, Some(true));
        let no = |scope| policy(scope, Some(false));
        for (policies, expected) in [
            (vec![], Nobody),
            (vec![yes(T::NotSpecified)], Nobody),
            (vec![yes(T::AllMemberUsers)], Nobody),
            (vec![yes(T::AllDirectoryServicePrincipals)], Nobody),
            (vec![no(T::AllExternalUsers)], Nobody),
            (vec![no(T::Unknown)], Nobody),
            (vec![yes(T::AllDirectoryUsers)], GuestsOnly),
            (
                vec![yes(T::SpecificDirectoryUsers), no(T::AllExternalUsers)],
                GuestsOnly,
            ),
            (vec![yes(T::AllExternalUsers)], Outsiders),
            (vec![yes(T::SpecificConnectedOrganizationUsers)], Outsiders),
            (
                vec![yes(T::AllConfiguredConnectedOrganizationUsers)],
                Outsiders,
            ),
            (vec![yes(T::Unknown), yes(T::AllExternalUsers)], Outsiders),
            (vec![yes(T::Unknown), yes(T::AllDirectoryUsers)], Unknown),
            (vec![policy(T::AllExternalUsers, None)], Unknown),
            (vec![policy(T::AllMemberUsers, None)], Nobody),
            (vec![AssignmentPolicy::default()], Unknown),
        ] {
            assert_eq!(OutsideAccess::of(&policies), expected, "{policies:?}");
        }
    }

    #[test]
    fn listed_policies_complete_the_expanded_ones() {
        use TargetScope as T;
        let (open, closed) = (
            policy(T::AllExternalUsers, Some(true)),
            policy(T::AllExternalUsers, Some(false)),
        );
        let access = |own: Option<Vec<AssignmentPolicy>>, listed: &[AssignmentPolicy]| {
            let package = AccessPackage {
                assignment_policies: own,
                ..AccessPackage::default()
            };
            let package = package.with_listed(listed);
            (package.outside_access(), package.obstacles())
        };
        let is_open = (OutsideAccess::Outsiders, vec![]);
        let is_off = (OutsideAccess::Nobody, vec![Obstacle::SelfRequestOff]);
        let no_policy = (OutsideAccess::Nobody, vec![Obstacle::NoExternalPolicy]);
        let unknown = (OutsideAccess::Unknown, vec![]);

        assert_eq!(access(Some(vec![]), &[]), no_policy);
        assert_eq!(access(Some(vec![]), std::slice::from_ref(&open)), is_open);
        assert_eq!(access(Some(vec![]), std::slice::from_ref(&closed)), is_off);
        assert_eq!(access(Some(vec![open.clone()]), &[]), is_open);
        assert_eq!(access(None, &[]), unknown);
        assert_eq!(access(None, &[closed]), unknown);
        assert_eq!(access(None, &[open]), is_open);
    }

    #[test]
    fn every_obstacle_is_named_and_what_was_not_read_is_none() {
        use Obstacle::{CatalogNotExternal, CatalogUnpublished, NoExternalPolicy, SelfRequestOff};
        let mut package = AccessPackage::default();
        assert_eq!(package.obstacles(), []);

        package.catalog = Some(Catalog {
            state: CatalogState::Unpublished,
            is_externally_visible: Some(false),
            ..Catalog::default()
        });
        package.assignment_policies = Some(Vec::new());
        assert_eq!(
            package.obstacles(),
            [CatalogUnpublished, CatalogNotExternal, NoExternalPolicy]
        );

        package.catalog = Some(Catalog::default());
        package.assignment_policies =
            Some(vec![policy(TargetScope::AllExternalUsers, Some(false))]);
        assert_eq!(package.obstacles(), [SelfRequestOff]);
        package.assignment_policies = Some(vec![policy(TargetScope::AllExternalUsers, Some(true))]);
        assert_eq!(package.obstacles(), []);
    }
}
