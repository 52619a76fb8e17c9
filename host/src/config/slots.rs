//! Which clients of an app a version gets.

use serde::{Deserialize, Serialize};

/// How many slots the clients of an app are spread over: a version with a weight of one percent has a hundred of them.
pub(crate) const SLOTS: u16 = 10_000;

/// The slots of one version, as ranges whose ends are not part of them, in the order in which it got them.
///
/// A version that grows takes slots that nobody has, and one that shrinks gives up those that it got last. So a client changes
/// its version only if the weight of that version, or of the one that it changes to, changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slots(Vec<(u16, u16)>);

impl Slots {
    /// How many there are.
    pub(crate) fn count(&self) -> u16 {
        self.0.iter().map(|(start, end)| end.saturating_sub(*start)).sum()
    }

    /// Whether this is one of them.
    pub(crate) fn contains(&self, slot: u16) -> bool {
        self.0.iter().any(|(start, end)| (*start..*end).contains(&slot))
    }

    /// Gives up the last of them, until there are at most so many.
    pub(crate) fn shrink(&mut self, count: u16) {
        let mut surplus = self.count().saturating_sub(count);
        while surplus > 0 {
            let Some((start, end)) = self.0.last_mut() else { return };
            let given = surplus.min(end.saturating_sub(*start));
            (*end, surplus) = (*end - given, surplus - given);
            if start >= end {
                self.0.pop();
            }
        }
    }

    /// Takes the lowest that neither it nor `others` have, until there are so many, or none is left.
    pub(crate) fn grow(&mut self, count: u16, others: &[Self]) {
        let mut taken: Vec<(u16, u16)> =
            others.iter().chain([&*self]).flat_map(|slots| slots.0.clone()).collect();
        taken.push((SLOTS, SLOTS));
        taken.sort_unstable();
        let (mut wanted, mut free) = (count.saturating_sub(self.count()), 0);
        for (start, end) in taken {
            let got = wanted.min(start.saturating_sub(free));
            if got > 0 {
                self.take(free, free + got);
                wanted -= got;
            }
            free = free.max(end);
        }
    }

    fn take(&mut self, start: u16, end: u16) {
        match self.0.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => self.0.push((start, end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(slots: &Slots) -> Vec<u16> {
        (0..SLOTS).filter(|slot| slots.contains(*slot)).collect()
    }

    #[test]
    fn what_grows_keeps_what_it_has() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let mut all = vec![Slots::default(); 3];
            for _ in 0..8 {
                let at = random.usize(..all.len());
                let mut changed = all.remove(at);
                let left = SLOTS - all.iter().map(Slots::count).sum::<u16>();
                let (before, count) = (of(&changed), random.u16(..=left));
                changed.shrink(count);
                changed.grow(count, &all);
                let after = of(&changed);
                assert_eq!((after.len(), changed.count()), (usize::from(count), count));
                let (less, more) =
                    if after.len() < before.len() { (&after, &before) } else { (&before, &after) };
                assert!(
                    less.iter().all(|slot| more.contains(slot)),
                    "a client changed its version without need"
                );
                assert!(
                    all.iter().all(|other| after.iter().all(|slot| !other.contains(*slot))),
                    "a slot has two"
                );
                all.insert(at, changed);
            }
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        let (mut one, mut other) = (Slots::default(), Slots::default());
        one.grow(SLOTS - 1, &[]);
        other.grow(5, &[one.clone()]);
        assert_eq!(other, Slots(vec![(SLOTS - 1, SLOTS)]));
        one.shrink(0);
        assert_eq!(one, Slots::default());
        other.grow(3, &[one]);
        assert_eq!(other, Slots(vec![(SLOTS - 1, SLOTS), (0, 2)]));
    }
}
