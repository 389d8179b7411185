//! `tradewind healthcheck`: for containers, which have no curl.

use anyhow::bail;

use super::SourceArgs;
use super::operator_port::ask;

pub(super) fn run(sources: SourceArgs) -> anyhow::Result<()> {
    let answer = ask(sources.load()?.settings.metrics.bind, "GET", "/readyz")?;
    if answer.status != 200 {
        bail!("{}", answer.body);
    }
    println!("{}", answer.body);
    Ok(())
}
