//! Yes, no, and what could not be judged.

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It could not be understood or judged.
    Unknown,
}

impl Truth {
    /// All of them: one no decides, then one unknown.
    pub fn all(outcomes: impl IntoIterator<Item = Self>) -> Self {
        let mut result = Self::Yes;
        for outcome in outcomes {
            match outcome {
                Self::No => return Self::No,
                Self::Unknown => result = Self::Unknown,
                Self::Yes => {}
            }
        }
        result
    }

    /// Any of them: one yes decides, then one unknown. None of none.
    pub fn any(outcomes: impl IntoIterator<Item = Self>) -> Self {
        let mut result = Self::No;
        for outcome in outcomes {
            match outcome {
                Self::Yes => return Self::Yes,
                Self::Unknown => result = Self::Unknown,
                Self::No => {}
            }
        }
        result
    }

    /// As a decision, with unknown as `doubt`.
    pub fn resolve(self, doubt: bool) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Unknown => doubt,
        }
    }

    /// The opposite; unknown stays so.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}
