//! Classes of rules, which share their exemptions for lock files.

use crate::choice::choice;

choice! {
    /// A class of rules. The setting `locked` says for each class how long releases in lock files stay available; the
    /// words are its keys.
    pub enum Class {
        Cooldown = "cooldown",
        Freeze = "freeze",
        Licence = "licenses",
        Advisory = "advisories",
        Retirement = "retirement",
    }
}

/// One value for each class of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByClass<T> {
    pub cooldown: T,
    pub freeze: T,
    pub licences: T,
    pub advisories: T,
    pub retirement: T,
}

impl<T> ByClass<T> {
    /// The value for one class.
    pub fn get(&self, class: Class) -> &T {
        match class {
            Class::Cooldown => &self.cooldown,
            Class::Freeze => &self.freeze,
            Class::Licence => &self.licences,
            Class::Advisory => &self.advisories,
            Class::Retirement => &self.retirement,
        }
    }

    /// The value for one class, mutable.
    pub fn get_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Cooldown => &mut self.cooldown,
            Class::Freeze => &mut self.freeze,
            Class::Licence => &mut self.licences,
            Class::Advisory => &mut self.advisories,
            Class::Retirement => &mut self.retirement,
        }
    }
}
