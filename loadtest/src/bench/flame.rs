//! A flame graph from what `perf script` prints: an SVG that needs nothing else.

use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 17.0;
/// Narrower frames are left out, px.
const NARROWEST: f64 = 0.4;
/// Width of a letter, px.
const LETTER: f64 = 6.6;

/// A function and what it called, with the samples taken in both.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Frame {
    samples: u64,
    calls: BTreeMap<String, Frame>,
}

/// Folds the stacks of `perf script` (`-F comm,ip,sym`): a line with the thread's name, then frames, innermost first,
/// then an empty line.
pub(super) fn fold(script: &str) -> Frame {
    let mut root = Frame::default();
    for sample in script.split("\n\n") {
        let mut lines = sample
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let Some(thread) = lines.next() else { continue };
        let stack: Vec<&str> = lines.filter_map(function).collect();
        let mut frame = &mut root;
        frame.samples += 1;
        for name in std::iter::once(thread.trim()).chain(stack.into_iter().rev()) {
            frame = frame.calls.entry(name.to_owned()).or_default();
            frame.samples += 1;
        }
    }
    root
}

/// `  55d2c0 tradewind_rtc::shard::Shard::finish_turn+0x12 (/path)`
fn function(line: &str) -> Option<&str> {
    let (_, name) = line.trim().split_once(' ')?;
    let name = name.rsplit_once(" (").map_or(name, |(name, _)| name);
    let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
    Some(
        name.rsplit_once("::h")
            .filter(|(_, hash)| hash.len() == 16)
            .map_or(name, |(name, _)| name),
    )
}

/// Draws the frames, the outermost below.
pub(super) fn draw(root: &Frame) -> String {
    let height = ROW * (depth(root) as f64 + 1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">"
    );
    let total = root.samples.max(1) as f64;
    draw_calls(&mut svg, root, 0.0, height - ROW, total);
    svg.push_str("</svg>\n");
    svg
}

fn draw_calls(svg: &mut String, frame: &Frame, mut x: f64, y: f64, total: f64) {
    for (name, call) in &frame.calls {
        let width = call.samples as f64 / total * WIDTH;
        if width >= NARROWEST {
            let escaped = name
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            let letters = (width / LETTER) as usize;
            let shown: String = if letters > 3 {
                name.chars().take(letters - 1).collect()
            } else {
                String::new()
            };
            let shown = shown
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            let hue = name.bytes().fold(0u32, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(byte.into())
            }) % 50;
            let percent = call.samples as f64 / total * 100.0;
            // Writing to a string cannot fail.
            let _ = write!(
                svg,
                "<g><title>{escaped}: {percent:.1} %</title>\
                 <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"hsl({hue},80%,65%)\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{shown}</text></g>",
                ROW - 1.0,
                x + 2.0,
                y + 12.0
            );
            draw_calls(svg, call, x, y - ROW, total);
        }
        x += width;
    }
}

fn depth(frame: &Frame) -> usize {
    frame
        .calls
        .values()
        .map(depth)
        .max()
        .map_or(0, |deepest| deepest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "shard-0\n\t 55d2 seal+0x1 (/bin/server)\n\t 55d3 turn<T>+0x2 (/bin/server)\n\n\
        shard-0\n\t 55d9 a::b::h0123456789abcdef (/bin/server)\n\t 55d3 turn<T>+0x9 (/bin/server)\n\n";

    #[test]
    fn stacks_are_folded_from_the_outermost_frame() {
        let root = fold(SCRIPT);
        let turn = &root.calls["shard-0"].calls["turn<T>"];
        assert_eq!((root.samples, turn.samples), (2, 2));
        assert_eq!(turn.calls.keys().collect::<Vec<_>>(), ["a::b", "seal"]);
    }

    #[test]
    fn a_drawing_escapes_names_and_tells_shares() {
        let svg = draw(&fold(SCRIPT));
        assert!(
            svg.contains("turn&lt;T&gt;: 100.0 %") && svg.contains("seal: 50.0 %"),
            "{svg}"
        );
    }
}
