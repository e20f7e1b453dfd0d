//! Rules that are excused alike.

use crate::choice::choice;

choice! {
    /// A class of rules: what a lock file is owed is written down for each. The words are the keys of `locked`.
    pub enum Class {
        Cooldown = "cooldown",
        Freeze = "freeze",
        Licence = "licenses",
        Advisory = "advisories",
        Retirement = "retirement",
    }
}

/// Something for each class of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByClass<T> {
    pub cooldown: T,
    pub freeze: T,
    pub licences: T,
    pub advisories: T,
    pub retirement: T,
}

impl<T> ByClass<T> {
    /// Of one class.
    pub fn of(&self, class: Class) -> &T {
        match class {
            Class::Cooldown => &self.cooldown,
            Class::Freeze => &self.freeze,
            Class::Licence => &self.licences,
            Class::Advisory => &self.advisories,
            Class::Retirement => &self.retirement,
        }
    }

    /// Of one class, to be changed.
    pub fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Cooldown => &mut self.cooldown,
            Class::Freeze => &mut self.freeze,
            Class::Licence => &mut self.licences,
            Class::Advisory => &mut self.advisories,
            Class::Retirement => &mut self.retirement,
        }
    }
}
