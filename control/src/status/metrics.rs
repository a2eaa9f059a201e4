//! What Prometheus is told of the board.

use hbone::brand::METRIC_PREFIX;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Board;

/// Adds whether there is a state to serve, and how many parts of objects are not as written.
pub fn register(registry: &mut Registry, board: Board) {
    registry.register_collector(Box::new(OfBoard(board)));
}

#[derive(Debug)]
struct OfBoard(Board);

impl Collector for OfBoard {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let problems = i64::try_from(self.0.problems().len()).unwrap_or(i64::MAX);
        for (name, help, value) in [
            ("control_synced", "Whether the source was read and is served", self.0.synced().into()),
            ("control_problems", "Parts of objects that are not in force as written", problems),
        ] {
            let gauge = ConstGauge::new(value);
            let name = format!("{METRIC_PREFIX}_{name}");
            gauge.encode(encoder.encode_descriptor(&name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Problem;

    #[test]
    fn problems_and_the_first_state_are_told() {
        let board = Board::default();
        let mut registry = Registry::default();
        register(&mut registry, board.clone());
        board.set_source(vec![Problem::default(), Problem::default()], true);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        assert!(text.contains("ambit_control_synced 1\n"), "{text}");
        assert!(text.contains("ambit_control_problems 2\n"), "{text}");
    }
}
