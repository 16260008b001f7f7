//! `vascx tables`, `vascx merge`, `vascx overlay`: folders of results after the fact.

use vascx::inference::{Durability, Merged, merge, write_tables};
use vascx::pipeline::Redraw;

use super::{Done, Result, print_result};
use crate::arguments::{MergeArguments, OverlayArguments, TablesArguments};
use crate::terminal::{Kind, escaped, tell};

pub(crate) fn tables(arguments: &TablesArguments) -> Result {
    let rows = write_tables(&arguments.out, Durability::Full)?;
    let out = escaped(&arguments.out.to_string_lossy());
    print_result(format_args!("tables of {rows} photographs; {out}"));
    Ok(Done::All)
}

pub(crate) fn merge_parts(arguments: &MergeArguments) -> Result {
    let Merged { done, failed, .. } = merge(&arguments.out, &arguments.parts, Durability::Full)?;
    let out = escaped(&arguments.out.to_string_lossy());
    print_result(format_args!("{done} done, {failed} failed; all in {out}"));
    Ok(Done::All)
}

pub(crate) fn overlay(arguments: &OverlayArguments) -> Result {
    let mut redraw = Redraw::new(&arguments.out, &arguments.pictures);
    redraw.options = arguments.look.options();
    redraw.native = arguments.native;
    redraw.ids.clone_from(&arguments.ids);
    redraw.overwrite = arguments.overwrite;
    let mut failed = 0;
    let drawn = redraw.run(|id, problem| {
        if let Some(problem) = problem {
            failed += 1;
            tell(Kind::Failed, format_args!("{id}: {problem}"));
        }
    })?;
    if !arguments.quiet {
        let out = escaped(&arguments.pictures.to_string_lossy());
        print_result(format_args!("{drawn} drawn, {failed} failed; {out}"));
    }
    Ok(match (drawn, failed) {
        (_, 0) => Done::All,
        (0, _) => Done::Nothing,
        _ => Done::Some,
    })
}
