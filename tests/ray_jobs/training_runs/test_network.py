"""Which network workers talk through."""

from rapport.ray_jobs.training_runs.network import interface_of


def test_loopback_has_its_address_and_no_interface_has_one_of_elsewhere() -> None:
    assert str(interface_of("127.0.0.1")).startswith("lo")
    # Reserved for documentation: no machine has it.
    assert interface_of("192.0.2.1") is None
