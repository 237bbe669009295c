//! The watch for another farmer with the same key on one chain. Pure.
//!
//! The signing record raises its last slot before anything is signed. So a seal of the key in a newer slot is
//! another's, who has another record: two such farmers seal the same wins, and the key is banned. Only one
//! of them may go on; the one whose record is behind stops.
//!
//! A farmer who starts may not know of the other yet and must not seal first. So nothing is sealed for some slots at the
//! start; a slot counts if the node has answered in it. The other is looked for with every later answer as
//! well. The watch sees what the node knows: on two sides of a parted network both farmers are blind.

use mass_primitives::Slot;
use mass_rpc::LastSeal;

/// What a watch has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing is sealed for so many slots.
    Begun(u64),
    /// Nobody was seen: slots are sealed from now on.
    Over,
    /// Another farmer has sealed this.
    Other(LastSeal),
}

/// How far the watch of one chain is.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Whether the farmer was told that nobody else has the key. What was sealed before the start is then of an earlier
    /// life of the key, whose record is lost.
    is_alone: bool,
    slots_left: u64,
    /// The node's slot in its last answer.
    heard: Option<Slot>,
    /// The last slot that is not sealed for the watch's sake.
    quiet_until: Slot,
    other: Option<LastSeal>,
}

impl Watch {
    /// A watch of so many slots; none say that nobody else has the key.
    pub const fn new(slots: u64) -> Self {
        Self { is_alone: slots == 0, slots_left: slots, heard: None, quiet_until: Slot::ZERO, other: None }
    }

    /// The node has answered in its slot `now`: `sealed` is the newest seal of the key that it knows. `signed` is the
    /// last slot of the record.
    pub fn hear(
        &mut self,
        now: Slot,
        is_synced: bool,
        sealed: Option<LastSeal>,
        signed: Option<Slot>,
    ) -> Option<News> {
        let before = self.heard.replace(now);
        if before.is_none() || self.slots_left > 0 {
            self.quiet_until = now;
        }
        let known = signed.max(self.is_alone.then_some(self.quiet_until));
        if let Some(seal) = sealed.filter(|seal| Some(seal.slot) > known) {
            return self.other.replace(seal).is_none().then_some(News::Other(seal));
        }
        if self.slots_left == 0 || self.other.is_some() {
            return None;
        }
        match before {
            None => Some(News::Begun(self.slots_left)),
            Some(before) if before == now || !is_synced => None,
            Some(_) => {
                self.slots_left -= 1;
                (self.slots_left == 0).then_some(News::Over)
            }
        }
    }

    /// The slot after which slots may be sealed; nothing as long as none may.
    pub fn may_seal_after(&self) -> Option<Slot> {
        let may_seal = self.heard.is_some() && self.slots_left == 0 && self.other.is_none();
        may_seal.then_some(self.quiet_until)
    }

    /// Slots that are still to be heard of before anything is sealed.
    pub const fn slots_left(&self) -> u64 {
        self.slots_left
    }

    /// The newest seal of the other farmer, if there is one.
    pub const fn other(&self) -> Option<LastSeal> {
        self.other
    }
}

#[cfg(test)]
mod tests {
    use mass_primitives::{BlockId, Height};

    use super::*;

    fn slot(slot: u64) -> Slot {
        Slot::new(slot)
    }

    fn seal(in_slot: u64) -> Option<LastSeal> {
        Some(LastSeal { slot: slot(in_slot), height: Height::new(3), id: BlockId::ZERO })
    }

    fn hear(watch: &mut Watch, now: u64, sealed: Option<LastSeal>, signed: Option<u64>) -> Option<News> {
        watch.hear(slot(now), true, sealed, signed.map(slot))
    }

    /// A watch of three slots that ended in slot 103.
    fn watched() -> Watch {
        let mut watch = Watch::new(3);
        let news: Vec<_> = (100..=103).map(|now| hear(&mut watch, now, None, None)).collect();
        assert_eq!(news, [Some(News::Begun(3)), None, None, Some(News::Over)]);
        assert_eq!(watch.may_seal_after(), Some(slot(103)));
        watch
    }

    #[test]
    fn nothing_is_sealed_until_the_node_was_heard_in_every_slot_of_the_watch() {
        let mut watch = Watch::new(3);
        assert_eq!(watch.may_seal_after(), None);
        assert_eq!(hear(&mut watch, 100, None, None), Some(News::Begun(3)));
        assert_eq!(hear(&mut watch, 100, None, None), None, "the same slot counts once");
        assert_eq!(hear(&mut watch, 101, None, None), None);
        assert_eq!(
            hear(&mut watch, 900, None, None),
            None,
            "the node was down, which is one slot and no more"
        );
        assert_eq!(
            watch.hear(slot(901), false, None, None),
            None,
            "a node that is behind does not see the other"
        );
        assert_eq!((watch.slots_left(), watch.may_seal_after()), (1, None));
        assert_eq!(hear(&mut watch, 902, None, None), Some(News::Over));
        assert_eq!(hear(&mut watch, 903, None, None), None);
        assert_eq!(watch.may_seal_after(), Some(slot(902)), "no win of the watch is sealed later");
    }

    #[test]
    fn a_seal_that_is_not_in_the_record_is_anothers_whenever_it_comes() {
        // Before the start, during the watch, after it.
        let mut watch = Watch::new(3);
        assert_eq!(hear(&mut watch, 100, seal(7), Some(6)), Some(News::Other(seal(7).unwrap())));
        let mut watch = Watch::new(3);
        assert_eq!(hear(&mut watch, 100, None, None), Some(News::Begun(3)));
        assert_eq!(hear(&mut watch, 101, seal(101), None), Some(News::Other(seal(101).unwrap())));
        let mut watch = watched();
        assert_eq!(hear(&mut watch, 110, seal(110), Some(109)), Some(News::Other(seal(110).unwrap())));
        // For good, and told once; a node that forgets changes nothing.
        assert_eq!(hear(&mut watch, 111, seal(111), Some(109)), None);
        (112..200).for_each(|now| assert_eq!(hear(&mut watch, now, None, Some(109)), None));
        assert_eq!((watch.other(), watch.may_seal_after()), (seal(111), None));
    }

    #[test]
    fn seals_that_the_record_knows_are_our_own() {
        let mut watch = Watch::new(3);
        assert_eq!(hear(&mut watch, 100, seal(99), Some(99)), Some(News::Begun(3)));
        let mut watch = watched();
        // The record rises before the node can know.
        assert_eq!(hear(&mut watch, 110, None, Some(110)), None);
        assert_eq!(hear(&mut watch, 111, seal(110), Some(110)), None);
        assert_eq!(watch.may_seal_after(), Some(slot(103)));
    }

    #[test]
    fn who_is_alone_seals_at_once_but_no_slot_of_before() {
        let mut watch = Watch::new(0);
        assert_eq!(watch.may_seal_after(), None, "the node was not heard yet");
        assert_eq!(hear(&mut watch, 100, seal(99), None), None, "from an earlier life of the key");
        assert_eq!(watch.may_seal_after(), Some(slot(100)));
        assert_eq!(hear(&mut watch, 105, seal(100), None), None);
        assert_eq!(watch.may_seal_after(), Some(slot(100)));
        assert_eq!(hear(&mut watch, 106, seal(105), Some(104)), Some(News::Other(seal(105).unwrap())));
        assert_eq!(watch.may_seal_after(), None);
    }
}
