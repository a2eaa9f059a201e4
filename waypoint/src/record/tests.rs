use super::*;

#[test]
fn a_grpc_status_that_means_nothing_has_no_series_of_its_own() {
    for (sent, counted) in [(0, 0), (7, 7), (16, 16), (17, 2), (4242, 2), (u16::MAX, 2)] {
        assert_eq!(known_grpc_status(sent), counted, "{sent}");
    }
}
