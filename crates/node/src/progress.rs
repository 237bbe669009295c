//! How far each stage of a sync is, how fast it goes and how long it will take: for the log and for `mass_health`.
//!
//! The speed is that of the last half minute, so that a stage that has stopped says so and gives no time. How many headers there
//! are is what most peers say: nobody's word alone counts. A node that fetches blocks is not done before it has all of these,
//! so the time is that to the end, and not to the last header that has come.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use mass_primitives::Height;
use mass_rpc::{SyncStage, SyncStageKind as Kind};

use crate::{history::Progress, ledger::NodeLedger, node::Node};

/// Time between two lines of the log.
const EVERY: Duration = Duration::from_secs(10);

/// How long the speed is looked back upon, and the time between two samples.
const WINDOW: Duration = Duration::from_secs(30);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// A block or two that are missing are on their way, and are no sync.
pub(crate) const BEHIND_MIN: u32 = 3;

/// How far a stage is: done, and of how many if that is known.
type Position = (u64, Option<u64>);

/// The stages of a sync over the last time.
#[derive(Debug)]
pub(crate) struct SyncProgress {
    told: Instant,
    sampled: Option<Instant>,
    seen: BTreeMap<Kind, VecDeque<(Instant, u64)>>,
}

impl SyncProgress {
    pub const fn new(now: Instant) -> Self {
        Self { told: now, sampled: None, seen: BTreeMap::new() }
    }

    /// Keeps a sample of each stage that is on its way; what has ended is forgotten.
    fn note(&mut self, stages: &BTreeMap<Kind, Position>, now: Instant) {
        if self.sampled.is_some_and(|before| now.duration_since(before) < SAMPLE_EVERY) {
            return;
        }
        self.sampled = Some(now);
        self.seen.retain(|kind, _| stages.contains_key(kind));
        for (kind, (done, _)) in stages {
            let samples = self.seen.entry(*kind).or_default();
            samples.push_back((now, *done));
            while samples.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
                samples.pop_front();
            }
        }
    }

    /// Each stage with its speed and the time that is left.
    fn tell(&self, stages: BTreeMap<Kind, Position>) -> Vec<SyncStage> {
        let stage = |(stage, (done, of)): (Kind, Position)| {
            let samples = self.seen.get(&stage);
            let (first, last) = samples.and_then(|seen| Some((*seen.front()?, *seen.back()?))).unzip();
            let (made, millis) = first.zip(last).map_or((0, 0), |(first, last)| {
                (last.1.saturating_sub(first.1), last.0.duration_since(first.0).as_millis())
            });
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            let eta = of.and_then(|of| of.saturating_sub(done).saturating_mul(millis).checked_div(made));
            SyncStage {
                stage,
                done,
                of,
                per_minute: made.saturating_mul(60_000).checked_div(millis).unwrap_or(0),
                eta_seconds: eta.map(|millis| millis.div_ceil(1_000)),
            }
        };
        stages.into_iter().map(stage).collect()
    }
}

/// The stages that are on their way, of a node with a tip, a best header and what most peers say of theirs.
fn blocks_and_headers(tip: Height, best: Height, told: Height) -> BTreeMap<Kind, Position> {
    let [tip, best, told] = [tip, best, told].map(|height| u64::from(height.get()));
    let end = best.max(told);
    let is_behind = |done: u64| end.saturating_sub(done) >= BEHIND_MIN.into();
    let stages = [(Kind::Headers, best), (Kind::Blocks, tip)].into_iter();
    stages.filter(|(_, done)| is_behind(*done)).map(|(kind, done)| (kind, (done, Some(end)))).collect()
}

impl<L: NodeLedger> Node<L> {
    fn stages(&self) -> BTreeMap<Kind, Position> {
        let best = self.chain().engine().tree().best_height();
        let mut stages = blocks_and_headers(self.chain().height(), best, self.sync.told_height());
        if let Some(join) = &self.join {
            // The blocks come later, in the background.
            stages.remove(&Kind::Blocks);
            if let Some((here, parts)) = join.progress() {
                stages.insert(Kind::Snapshot, (here as u64, Some(parts.into())));
            }
        }
        if let Some(Progress { base, validated }) = self.history_progress() {
            stages.insert(Kind::History, (validated.get().into(), Some(base.get().into())));
        }
        stages
    }

    /// The stages of the sync that are on their way; none if the node has all that its peers have.
    #[must_use]
    pub fn sync_stages(&self) -> Vec<SyncStage> {
        self.progress.tell(self.stages())
    }

    /// Time passes: what is to be known of the speed is noted, and the log hears of it now and then.
    pub(crate) fn tend_progress(&mut self, now: Instant) {
        let stages = self.stages();
        self.progress.note(&stages, now);
        if stages.is_empty() || now.duration_since(self.progress.told) < EVERY {
            return;
        }
        self.progress.told = now;
        for one in self.progress.tell(stages) {
            let SyncStage { stage, done, of, per_minute, eta_seconds } = one;
            tracing::info!(stage = stage.name(), done, of, per_minute, eta_seconds, "syncing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heights(tip: u32, best: u32, told: u32) -> BTreeMap<Kind, Position> {
        blocks_and_headers(Height::new(tip), Height::new(best), Height::new(told))
    }

    #[test]
    fn each_stage_is_told_while_it_lasts() {
        assert_eq!(
            heights(10, 500, 9_000),
            [(Kind::Headers, (500, Some(9_000))), (Kind::Blocks, (10, Some(9_000)))].into()
        );
        assert_eq!(heights(10, 9_000, 9_000), [(Kind::Blocks, (10, Some(9_000)))].into());
        // A branch that is left for a better one: the tip is lower than it was.
        assert_eq!(heights(700, 1_000, 900), [(Kind::Blocks, (700, Some(1_000)))].into());
        assert!(heights(8_998, 9_000, 9_000).is_empty() && heights(9_000, 9_000, 5).is_empty());
    }

    #[test]
    fn the_speed_is_that_of_the_last_time_and_what_stands_still_has_no_end() {
        let (begun, mut progress) = (Instant::now(), SyncProgress::new(Instant::now()));
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let told = |progress: &SyncProgress, tip: u32| {
            let [stage] = &progress.tell(heights(tip, 1_000, 0))[..] else { panic!() };
            (stage.done, stage.per_minute, stage.eta_seconds)
        };
        assert_eq!(told(&progress, 0), (0, 0, None), "nothing is known yet");
        for second in 0..=20 {
            progress.note(&heights(second as u32 * 10, 1_000, 0), after(second));
        }
        assert_eq!(told(&progress, 200), (200, 600, Some(80)));
        // Something that takes longer: the speed follows.
        for second in 21..=60 {
            progress.note(&heights(200 + (second as u32 - 20), 1_000, 0), after(second));
        }
        assert_eq!(told(&progress, 240), (240, 60, Some(760)));
        for second in 61..=100 {
            progress.note(&heights(240, 1_000, 0), after(second));
        }
        assert_eq!(told(&progress, 240), (240, 0, None));
        progress.note(&BTreeMap::new(), after(102));
        assert!(progress.seen.is_empty());
    }
}
