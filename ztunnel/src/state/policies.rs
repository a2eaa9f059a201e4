//! Policies and which of them apply to a workload.

use std::sync::Arc;

use hbone::wire::authorization::{Authorization, Scope};
use hbone::wire::workload::Workload;

use super::Touched;
use super::index::Sorted;
use super::snapshot::Snapshot;

impl Snapshot {
    /// The policy `namespace/name`.
    pub fn policy(&self, key: &str) -> Option<&Arc<Authorization>> {
        self.policies.get(key)
    }

    /// All policies, in no order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Authorization>> {
        self.policies.values()
    }

    /// The policies that apply to `workload`: the global ones, those of its namespace, and
    /// those that it lists. Names that are not known are skipped.
    pub fn policies_of<'a>(
        &'a self,
        workload: &'a Workload,
    ) -> impl Iterator<Item = &'a Arc<Authorization>> {
        let namespace = self.by_namespace.get(&workload.namespace);
        let listed = workload.policies.iter().filter_map(|name| self.policies.get(name));
        // A workload may list a policy that applies to it anyhow.
        let listed = listed.filter(|policy| policy.scope == Scope::WorkloadSelector);
        let namespace = namespace.into_iter().flat_map(|policies| policies.values());
        self.global.values().chain(namespace).chain(listed)
    }

    /// The names that `workload` lists and that no policy has.
    pub fn unknown_policies<'a>(
        &'a self,
        workload: &'a Workload,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        workload.policies.iter().filter(|name| !self.policies.contains_key(*name))
    }

    /// Adds a policy, or its new version.
    pub(super) fn put_policy(&mut self, new: &Arc<Authorization>, touched: &mut Touched) {
        if self.policies.get(&new.key) == Some(new) {
            return;
        }
        self.remove_policy(&new.key, touched);
        let (key, policy) = (Arc::clone(&new.key), Arc::clone(new));
        match new.scope {
            Scope::Global => self.global.insert_mut(key, policy),
            Scope::Namespace => {
                if let Some(policies) = self.by_namespace.get_mut(&new.namespace) {
                    policies.insert_mut(key, policy);
                } else {
                    let policies = Sorted::new_sync().insert(key, policy);
                    self.by_namespace.insert_mut(Arc::clone(&new.namespace), policies);
                }
            }
            Scope::WorkloadSelector => {}
        }
        self.policies.insert_mut(Arc::clone(&new.key), Arc::clone(new));
        touched.policies = true;
    }

    /// Removes the policy `namespace/name`, if there is one.
    pub(super) fn remove_policy(&mut self, key: &str, touched: &mut Touched) {
        let Some(old) = self.policies.get(key).cloned() else { return };
        self.policies.remove_mut(key);
        match old.scope {
            Scope::Global => {
                self.global.remove_mut(key);
            }
            Scope::Namespace => {
                if let Some(policies) = self.by_namespace.get_mut(&old.namespace) {
                    policies.remove_mut(key);
                    if policies.is_empty() {
                        self.by_namespace.remove_mut(&old.namespace);
                    }
                }
            }
            Scope::WorkloadSelector => {}
        }
        touched.policies = true;
    }
}
