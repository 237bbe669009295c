//! The farmer's rounds: what its nodes say, which challenges are looked up, which proofs are solved, and what is
//! signed.

use std::time::Instant;

use mass_consensus::{
    header::{Header, SealClaim},
    lottery::challenge,
};
use mass_plot::SolveOptions;
use mass_primitives::{ChainId, Difficulty, Height, Round, Slot};
use mass_proof_of_space::Proof;
use mass_rpc::{LastSeal, Work};
use rand_core::OsRng;

use super::{Farmer, FarmerError, Look, ROUNDS_AHEAD, Report, SolveError, unix_now};
use crate::{
    chain::{ChainConfig, Member, Sealing},
    disk::{Job, Turn},
    events::{FarmEvent, Totals},
    link::{Ask, Said},
    round::{ProofKey, RoundWork},
    shelf::Answer,
};

impl<W: FnMut(&FarmEvent, &Totals)> Farmer<W> {
    /// Farms these chains from now on. A chain that stays keeps its rounds.
    pub(super) fn set_chains(&mut self, chains: Vec<ChainConfig>) -> Result<(), FarmerError> {
        let mut members: Vec<Member> = Vec::new();
        for chain in chains.into_iter().filter(|chain| chain.enabled) {
            if members.iter().any(|member| member.id() == chain.spec.id()) {
                return Err(FarmerError::Twice(chain.spec.rules().name.clone()));
            }
            let known = self.members.iter().position(|member| member.config.is_like(&chain));
            members.push(match known {
                Some(position) => self.members.swap_remove(position).with(chain),
                None => {
                    let (farmer, reports) = (self.secret.public(), self.reports.clone());
                    Member::start(chain, farmer, self.watch_rounds, reports, Report::Node)?
                }
            });
        }
        members.sort_by_key(|member| std::cmp::Reverse(member.config.priority));
        self.members = members;
        for member in &self.members {
            member.note(&mut self.totals);
        }
        Ok(())
    }

    pub(super) fn said(&mut self, position: usize, said: Said) -> Result<(), FarmerError> {
        match said {
            Said::Work(work) => self.work(position, *work),
            Said::Failed(reason) => {
                if let Some(event) = self.members[position].failed(reason) {
                    self.tell(&event);
                }
                Ok(())
            }
            Said::Prepared(claim, header) => self.prepared(position, &claim, header),
            Said::Submitted(taken) => {
                let member = &mut self.members[position];
                let event = member.submitted(taken, &mut self.totals);
                if let Some(FarmEvent::Sealed { height, .. }) = &event {
                    member.won.add(*height, unix_now());
                }
                event.iter().for_each(|event| self.tell(event));
                Ok(())
            }
            Said::Health(bans, status, pending) => {
                self.members[position].fares(*status, pending.as_deref());
                let farmer = self.secret.public();
                match bans.iter().find(|ban| ban.farmer == farmer) {
                    Some(ban) => self.banned(position, ban.height),
                    None => Ok(()),
                }
            }
        }
    }

    fn banned(&mut self, position: usize, height: Height) -> Result<(), FarmerError> {
        let member = &mut self.members[position];
        if member.banned.replace(height).is_none() {
            let chain = member.name();
            self.tell(&FarmEvent::Banned { chain, height });
        }
        let all = self.members.iter().all(|member| member.banned.is_some());
        if all { Err(FarmerError::Banned(height)) } else { Ok(()) }
    }

    fn work(&mut self, position: usize, work: Work) -> Result<(), FarmerError> {
        let member = &mut self.members[position];
        if work.chain != *member.id() {
            let (name, expected) = (member.name(), *member.id());
            return Err(FarmerError::OtherChain { name, expected, got: work.chain });
        }
        let chain = *member.id();
        let signed = self.guard.last(&chain, &self.secret.public());
        let sealed = self.vet(chain, work.sealed, signed);
        let member = &mut self.members[position];
        let events = [member.answers(), member.watch(work.now, sealed, signed)];
        events.iter().flatten().for_each(|event| self.tell(event));
        self.look_ahead(position, &work);
        let Ok(difficulty) = work.difficulty.parse().map(Difficulty::new) else { return Ok(()) };
        let spec = &self.members[position].config.spec;
        let bytes = self.farm.plots(spec).saturating_mul(spec.plot_size().nominal_bytes());
        self.members[position].works(work, difficulty, bytes, unix_now());
        self.solve_next();
        self.seal_due(position);
        Ok(())
    }

    /// In a cluster, a seal that the record of this machine does not know may be of the farmer before this one: the
    /// cluster is asked before it is taken for a stranger's.
    fn vet(&mut self, chain: ChainId, sealed: Option<LastSeal>, signed: Option<Slot>) -> Option<LastSeal> {
        let (Some(cluster), Some(LastSeal { slot, .. })) = (&self.cluster, sealed) else { return sealed };
        match self.vetted.get(&chain) {
            _ if Some(slot) <= signed => sealed,
            Some((known, is_answered)) if *known == slot => sealed.filter(|_| *is_answered),
            _ => {
                self.vetted.insert(chain, (slot, false));
                let (cluster, farmer, reports) =
                    (cluster.clone(), self.secret.public(), self.reports.clone());
                tokio::spawn(async move {
                    let signed = cluster.signed_of(chain, farmer).await;
                    let _ = reports.send(Report::Vetted { chain, slot, signed });
                });
                None
            }
        }
    }

    /// Starts the look-up of challenges that come, and forgets those that are over.
    fn look_ahead(&mut self, position: usize, work: &Work) {
        let member = &self.members[position];
        let (beacon, present) = (*member.config.spec.beacon_id(), member.config.spec.round(work.now).get());
        let strip = &mut self.strip;
        self.looks.retain(|look| {
            let counts = look.turn.beacon != beacon || look.turn.round.get() + ROUNDS_AHEAD >= present;
            if !counts {
                strip.over(&look.turn, look.waiting.keys().copied());
            }
            counts
        });
        self.members[position].rounds.retain(|round| round.round.get() >= present);
        for round in present..=present + ROUNDS_AHEAD {
            let turn = Turn { beacon, seed: work.seed, round: Round::new(round) };
            if !self.members[position].knows(&turn.seed, turn.round) {
                self.begin(position, turn);
            }
        }
    }

    /// A chain meets a challenge: it gets what is found already, or its look-up starts.
    fn begin(&mut self, position: usize, turn: Turn) {
        let Turn { seed, round, .. } = turn;
        let known = self.looks.iter().find(|look| look.turn == turn);
        let (member, found) = (&mut self.members[position], known.map(|look| look.found.clone()));
        let (output, vrf_proof) = self.secret.evaluate(member.id(), &seed, round, OsRng);
        let mut work = RoundWork::new(round, seed, output, vrf_proof);
        work.add(&member.config.spec, found.as_deref().unwrap_or_default());
        member.rounds.push(work);
        if found.is_none() {
            self.look_up(position, turn);
        }
    }

    /// Asks all disks with plots whose turn it is.
    fn look_up(&mut self, position: usize, turn: Turn) {
        self.looks.push(Look::new(turn));
        self.strip.begin(turn, Instant::now(), unix_now());
        for number in self.readers.keys().copied().collect::<Vec<_>>() {
            self.ask(position, turn, number);
        }
        self.settle(&turn);
    }

    /// Asks a disk the groups whose turn it is and that were not asked yet. Chains that share a beacon take the same
    /// plots: that is checked where a spec names its beacon.
    fn ask(&mut self, position: usize, turn: Turn, number: usize) {
        let Some(look) = self.looks.iter_mut().find(|look| look.turn == turn) else { return };
        let Some(reader) = self.readers.get_mut(&number) else { return };
        let mut groups = self.farm.turn(number, &self.members[position].config.spec, &turn);
        groups.retain(|group| !look.groups.contains(group));
        if groups.is_empty() {
            return;
        }
        let question = challenge(&turn.beacon, &turn.seed, turn.round);
        if reader.give(Job::Ask(turn, question, groups.clone()), Instant::now()) {
            look.groups.extend(&groups);
            look.waiting.entry(number).or_default().push_back(groups);
            look.is_done = false;
            self.strip.set_missed(&turn, number, false);
        } else {
            reader.health.missed += 1;
            self.strip.set_missed(&turn, number, true);
        }
    }

    /// Asks a disk what its plots that have come, or come back, have to say to the challenges that still count.
    pub(super) fn ask_late(&mut self, number: usize) {
        for position in 0..self.members.len() {
            let member = &self.members[position];
            let beacon = *member.config.spec.beacon_id();
            let rounds: Vec<_> = member.rounds.iter().map(|round| (round.seed, round.round)).collect();
            for (seed, round) in rounds {
                self.ask(position, Turn { beacon, seed, round }, number);
            }
        }
    }

    pub(super) fn answered(&mut self, turn: &Turn, answer: &Answer) {
        self.totals.reads += answer.reads;
        self.totals.qualities += answer.found.len() as u64;
        let sharing = self.totals.chains.iter_mut().filter(|chain| chain.beacon == turn.beacon);
        sharing.for_each(|chain| chain.reads += answer.reads);
        if let Some(look) = self.looks.iter_mut().find(|look| look.turn == *turn) {
            look.asked += answer.asked;
            look.reads += answer.reads;
            look.found.extend(answer.found.iter().cloned());
        }
        for member in self.members.iter_mut().filter(|member| *member.config.spec.beacon_id() == turn.beacon)
        {
            member.found(&turn.seed, turn.round, &answer.found);
        }
        self.solve_next();
    }

    /// Sets the cores to work on the proof that is needed first.
    fn solve_next(&mut self) {
        if self.solving {
            return;
        }
        let wanted = self.members.iter().filter_map(Member::unsolved);
        let Some(wanted) = wanted.min_by_key(|wanted| wanted.time) else { return };
        self.solving = true;
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let (params, chain) = (wanted.params, wanted.chain);
            let solve = move || mass_plot::solve(&params, &chain, &SolveOptions::default());
            let proof = match tokio::task::spawn_blocking(solve).await {
                Ok(proof) => proof.map(Box::new).map_err(SolveError::from),
                Err(error) => Err(SolveError::Stopped(error.to_string())),
            };
            let _ = reports.send(Report::Solved { turn: wanted.turn, key: wanted.key, proof });
        });
    }

    /// A proof serves every chain that shares the beacon.
    pub(super) fn solved(&mut self, turn: &Turn, key: ProofKey, proof: Result<Box<Proof>, SolveError>) {
        self.solving = false;
        self.totals.proofs += u64::from(proof.is_ok());
        if let Err(error) = &proof {
            let reason = format!("plot {} of group {}: {error}", key.1, key.0);
            self.tell(&FarmEvent::Fault { reason });
        }
        let proof = proof.ok().map(|proof| *proof);
        for member in self.members.iter_mut().filter(|member| *member.config.spec.beacon_id() == turn.beacon)
        {
            member.solved(&turn.seed, turn.round, key, proof);
        }
        self.solve_next();
        // A proof that was late is sealed with at once.
        (0..self.members.len()).for_each(|position| self.seal_due(position));
    }

    /// Asks for the header of the first slot that is won and not sealed yet.
    fn seal_due(&mut self, position: usize) {
        let farmer = self.secret.public();
        let member = &mut self.members[position];
        let signed = self.guard.last(member.id(), &farmer).unwrap_or_default();
        if let Some(sealing) = member.due(signed) {
            let (claim, payout) = (Box::new(sealing.claim), member.config.payout.clone());
            member.sealing = Some(sealing);
            member.ask(Ask::Prepare { claim, payout });
        }
    }

    /// A header that is for our claim and nothing else may be signed; in a cluster, if no other farmer has used the
    /// slot up.
    fn prepared(
        &mut self,
        position: usize,
        claim: &SealClaim,
        header: Result<Header, String>,
    ) -> Result<(), FarmerError> {
        let member = &mut self.members[position];
        let Some(Sealing { tip, .. }) = member.sealing.clone().filter(|sealing| sealing.claim == *claim)
        else {
            return Ok(());
        };
        let ours = header.and_then(|header| match member.is_ours(&tip, claim, &header) {
            true => Ok(header),
            false => Err("the node's header is not for this win".to_owned()),
        });
        let header = match ours {
            Ok(header) => header,
            Err(reason) => {
                let event = member.unprepared(&reason);
                event.iter().for_each(|event| self.tell(event));
                return Ok(());
            }
        };
        let Some(cluster) = self.cluster.clone() else { return self.sign(claim, header) };
        let (claim, reports) = (Box::new(*claim), self.reports.clone());
        tokio::spawn(async move {
            let permit = cluster.permit(claim.chain, *claim.farmer(), claim.slot).await;
            let _ = reports.send(Report::Permitted { claim, header, permit });
        });
        Ok(())
    }

    /// The cluster has decided.
    pub(super) fn permitted(
        &mut self,
        claim: &SealClaim,
        header: Header,
        permit: Result<(), String>,
    ) -> Result<(), FarmerError> {
        let Err(reason) = permit else { return self.sign(claim, header) };
        let is_it =
            |member: &&mut Member| member.sealing.as_ref().is_some_and(|sealing| sealing.claim == *claim);
        if let Some(member) = self.members.iter_mut().find(is_it) {
            let event = member.lost(reason, &mut self.totals);
            self.tell(&event);
        }
        // Used up here as well: another may have signed it, or the bus may have written it without a word.
        Ok(self.guard.raise(&claim.chain, claim.farmer(), claim.slot)?)
    }

    /// Signs the header of the win in hand. From the permit on the slot is used up.
    fn sign(&mut self, claim: &SealClaim, header: Header) -> Result<(), FarmerError> {
        let members = self.members.iter_mut();
        let mut sealings = members.filter_map(|member| {
            let sealing = member.sealing.as_ref().filter(|sealing| sealing.claim == *claim)?;
            Some((sealing.vrf_proof, member))
        });
        let Some((vrf_proof, member)) = sealings.next() else { return Ok(()) };
        let permit = self.guard.permit(&claim.chain, claim.farmer(), claim.slot)?;
        let signature = permit.sign(&self.secret, &header.id(), OsRng)?;
        if let Some(sealing) = &mut member.sealing {
            sealing.is_signed = true;
        }
        member.ask(Ask::Submit { header: Box::new(header), vrf_proof, signature });
        Ok(())
    }
}
