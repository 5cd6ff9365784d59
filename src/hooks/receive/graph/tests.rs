use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// A repository whose commits have these parents, and their ids.
fn repository(parents: &[Vec<Index>]) -> (tempfile::TempDir, Git, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let git = Git::new(directory.path(), false);
    git.output(&["init", "-q", "--bare"]).unwrap();
    let mut input = String::new();
    for (n, parents) in parents.iter().enumerate() {
        // A ref each: there may be several roots.
        write!(
            input,
            "commit refs/x/{n}\nmark :{}\ncommitter A <a@x> {n} +0000\ndata 1\nx\n",
            n + 1
        )
        .unwrap();
        let parents: BTreeSet<usize> = parents
            .iter()
            .filter(|_| n > 0)
            .map(|p| p.index(n))
            .collect();
        for (which, parent) in parents.into_iter().enumerate() {
            let verb = if which == 0 { "from" } else { "merge" };
            writeln!(input, "{verb} :{}", parent + 1).unwrap();
        }
        input.push('\n');
    }
    git.output_with_input(&["fast-import", "--quiet"], input.into_bytes())
        .unwrap();
    let name = |n| format!("refs/x/{n}");
    let mut asking = vec!["rev-parse".to_owned()];
    asking.extend((0..parents.len()).map(name));
    let ids = lines(&git.output(&asking).unwrap());
    (directory, git, ids)
}

/// The best common ancestors that a base is made of, without what lies below them.
fn best(base: &Base<Option<String>>) -> BTreeSet<String> {
    match base {
        Base::At(commit) => commit.iter().cloned().collect(),
        Base::Merged { one, other, .. } => &best(one) | &best(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// One pass over all refs finds what git finds for each.
    #[test]
    fn the_bases_are_those_that_git_finds(
        parents in prop::collection::vec(prop::collection::vec(any::<Index>(), 0..4), 2..14),
        head in any::<Index>(),
    ) {
        let (_directory, git, ids) = repository(&parents);
        let head = &ids[head.index(ids.len())];
        let tips: BTreeSet<String> = ids.iter().cloned().collect();
        let found = bases(&git, Some(head), &tips).unwrap();
        for tip in &tips {
            let told = git.run(&["merge-base", "--all", head, tip]).unwrap();
            let told: BTreeSet<String> = lines(&told.stdout).into_iter().collect();
            prop_assert_eq!(best(&found.of[tip]), told);
        }
        let some: BTreeSet<String> = tips.iter().step_by(2).cloned().collect();
        let found = bases(&git, Some(head), &some).unwrap();
        for tip in &some {
            let told = git.output(&["rev-list", "--first-parent", tip, &format!("^{head}")]).unwrap();
            let told = lines(&told).into_iter().skip(1).find(|commit| some.contains(commit));
            prop_assert_eq!(found.below.get(tip), told.as_ref());
        }
        let none = bases(&git, None, &tips).unwrap();
        prop_assert!(none.of.values().all(|base| *base == Base::At(None)));
    }
}
