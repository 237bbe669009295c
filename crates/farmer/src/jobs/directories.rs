//! What earlier runs of a plotter have left in its directories, judged by the claims on the bus.

use std::{collections::HashMap, path::PathBuf};

use mass_primitives::GroupId;

use super::{
    ClaimState, Job, JobError, PlotterEvent,
    claim::{Claim, Right, right},
    place,
};
use crate::bus::Held;

/// A group that this plotter has begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub job: Job,
    pub dir: PathBuf,
}

/// What is left.
#[derive(Default)]
pub(super) struct Remains {
    /// What may be gone on with.
    pub begun: Vec<Begun>,
    /// What is complete, without the bus knowing it: its claim and its file.
    pub complete: Vec<(Held<Claim>, PathBuf)>,
}

/// Looks into the directories, and removes what is another plotter's by now. Groups that the bus does not know are
/// left alone: somebody has begun them by hand.
pub(super) fn look(
    dirs: &[PathBuf],
    name: &str,
    claims: Vec<(GroupId, Held<Claim>)>,
    tell: &dyn Fn(&PlotterEvent),
) -> Result<Remains, JobError> {
    let mut remains = Remains::default();
    let claims: HashMap<GroupId, Held<Claim>> = claims.into_iter().collect();
    for dir in dirs {
        mass_plot::clean_orphans(dir)?;
        for begun in mass_plot::unfinished_groups(dir)?.into_iter().filter(|begun| !begun.in_work) {
            let group = begun.identity.group_id();
            let Some(Held { value: claim, .. }) = claims.get(&group) else { continue };
            if right(Some(claim), name) == Right::Take {
                remains.begun.push(Begun { job: claim.job, dir: dir.clone() });
            } else if mass_plot::discard_group(dir, &begun.identity)? {
                tell(&PlotterEvent::Removed { group, dir: dir.clone() });
            }
        }
    }
    for held in claims.into_values() {
        let is_open = matches!(held.value.state, ClaimState::Claimed | ClaimState::Left);
        if is_open && let Some(path) = dirs.iter().find_map(|dir| place::complete(&held.value.job, dir)) {
            remains.complete.push((held, path));
        }
    }
    Ok(remains)
}
