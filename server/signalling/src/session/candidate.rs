//! ICE candidates as browsers write them (`RTCIceCandidateInit`, W3C WebRTC 1.0 section 4.8.1).

use serde::Deserialize;

use super::SignalError;

#[derive(Deserialize)]
struct CandidateInit {
    // Absent, null and empty all stand for the end of candidates. The other members say which section the candidate
    // is for, which matters to nobody here: all sections are bundled.
    #[serde(default)]
    candidate: Option<String>,
}

/// The candidate attribute without `a=`; empty at the end of candidates.
pub(super) fn read(init: &str, limit: usize) -> Result<String, SignalError> {
    if init.len() > limit {
        return Err(SignalError::CandidateTooLarge {
            bytes: init.len(),
            limit,
        });
    }
    if init.trim().is_empty() {
        return Ok(String::new());
    }
    let init: Option<CandidateInit> =
        serde_json::from_str(init).map_err(|_| SignalError::CandidateMalformed)?;
    let candidate = init.and_then(|init| init.candidate).unwrap_or_default();
    let candidate = candidate.trim();
    Ok(candidate.strip_prefix("a=").unwrap_or(candidate).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_browsers_and_native_sdks_are_read() {
        let host = "candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host";
        for init in [
            format!(
                r#"{{"candidate":"{host}","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}"#
            ),
            format!(r#"{{"candidate":"a={host}","sdpMid":null}}"#),
            format!(r#"{{"candidate":"{host}\r\n"}}"#),
        ] {
            assert_eq!(read(&init, 2048).as_deref(), Ok(host));
        }
    }

    #[test]
    fn the_end_of_candidates_has_many_forms() {
        for init in [
            "",
            "null",
            "{}",
            r#"{"candidate":null}"#,
            r#"{"candidate":"","sdpMid":"0"}"#,
        ] {
            assert_eq!(read(init, 2048).as_deref(), Ok(""), "{init}");
        }
    }

    #[test]
    fn what_is_no_candidate_is_refused() {
        assert_eq!(
            read("candidate:1", 2048),
            Err(SignalError::CandidateMalformed)
        );
        assert_eq!(read("[1]", 2048), Err(SignalError::CandidateMalformed));
        let long = format!(r#"{{"candidate":"{}"}}"#, "x".repeat(2048));
        assert!(matches!(
            read(&long, 2048),
            Err(SignalError::CandidateTooLarge { limit: 2048, .. })
        ));
    }
}
