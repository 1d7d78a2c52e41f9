"""Distance, wavelength and event codes of each event."""

from struct import pack

import pytest
import xtc_builder as x

DS1, DS1_BARE, DS2 = "CXI:DS1:MMS:06.RBV", "CXI:DS1:MMS:06", "CXI:DS2:MMS:06.RBV"


def run_with(opened, *events, cfg=(), phy=x.CXIDS1, address="CxiDs1.0:Cspad.0"):
    empty = x.xtc(0, b"", phy=phy)
    content = x.run_bytes([[empty, *objects] for objects in events], [x.config(phy=phy), *cfg])
    return opened(content, address=address)


def encoders(run):
    return [event.encoder_mm for event in run.events()]


def test_the_encoder_keeps_its_latest_value(opened):
    cfg = [x.epics_control(3, "OTHER:PV", 9.0), x.epics_control(7, DS1, -500.0)]
    run = run_with(opened, [], [x.epics_time(7, -499.5)], [x.epics_time(3, 1.0)], cfg=cfg)
    assert encoders(run) == [-500.0, -499.5, -499.5]


def test_an_event_of_nothing_but_epics_still_moves_the_encoder(opened):
    clock = x.Clock()
    parts = [x.dgram(x.CONFIGURE, x.container(x.config(), x.epics_control(7, DS1, -500.0)))]
    parts.append(x.dgram(x.L1, x.epics_time(7, -400.0), **clock.next()))
    parts.append(x.dgram(x.L1, x.xtc(0, b""), **clock.next()))
    assert encoders(opened(b"".join(parts))) == [-400.0]


@pytest.mark.parametrize(
    ("location", "values", "expected"),
    [
        ("CxiDs1", {DS1: 1.0, DS1_BARE: 2.0, DS2: 3.0}, 1.0),
        ("CxiDs1", {DS1_BARE: 2.0, DS2: 3.0}, 2.0),
        ("CxiDs1", {DS2: 3.0}, 3.0),
        ("CxiDs1", {}, None),
        ("CxiDs2", {DS1: 1.0, DS2: 3.0}, 3.0),
        ("CxiDs2", {DS1: 1.0}, 1.0),
        ("CxiDsd", {DS1: 1.0, DS2: 3.0}, 3.0),
        ("XppGon", {DS1: 1.0}, 0.0),
        ("XppEndstation", {}, 0.0),
        ("MfxEndstation", {}, 0.0),
        ("CxiSc1", {DS1: 1.0}, None),
    ],
)
def test_which_process_variable_counts(opened, location, values, expected):
    from workbench.runs.xtc.sources import phy_of

    address = f"{location}.0:Cspad.0"
    cfg = [x.epics_control(n, name, value) for n, (name, value) in enumerate(values.items())]
    run = run_with(opened, [], cfg=cfg, phy=phy_of(address), address=address)
    assert encoders(run) == [expected]


def test_values_belong_to_their_source(opened):
    other = x.epics_time(7, 1.0, phy=0x09010000)
    run = run_with(opened, [other], cfg=[x.epics_control(7, DS1, -500.0)])
    assert encoders(run) == [-500.0]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (15, pack("<2xh", -500)), (16, pack("<f", -500.0)), (17, pack("<2xH", 500)),
        (18, pack("<3xB", 200)), (19, pack("<i", -500)), (20, pack("<4xd", -500.0)),
    ],
)  # fmt: skip
def test_numbers_of_every_type(opened, kind, value):
    body = pack("<hhh2x", 7, kind, 1) + pack("<hhII", 0, 0, 1, 2) + value
    run = run_with(
        opened, [x.xtc(1 << 16 | 13, body, phy=0x09000000, log=0x01000777)],
        cfg=[x.epics_control(7, DS1, 0.0)],
    )  # fmt: skip
    assert abs(encoders(run)[0]) in (200, 500)


@pytest.mark.parametrize(
    ("kind", "place", "value", "expected"),
    [
        (29, 100, pack("<h", -500), -500), (30, 120, pack("<f", -500.5), -500.5),
        (31, 494, pack("<H", 500), 500), (32, 93, b"\xc8", 200),
        (33, 116, pack("<i", -500), -500), (34, 152, pack("<d", -499.25), -499.25),
    ],
)  # fmt: skip
def test_control_records_of_every_type_name_a_variable(opened, kind, place, value, expected):
    """dbr_ctrl_short … dbr_ctrl_double (EPICS db_access.h) behind 72 bytes of header."""
    body = bytearray(place) + value
    body[:70] = pack("<hhh64s", 7, kind, 1, DS1.encode())
    record = x.xtc(1 << 16 | 13, bytes(body), phy=0x09000000, log=0x01000777)
    run = run_with(opened, [], [x.epics_time(7, -1.0)], cfg=[record])
    assert encoders(run) == [expected, -1.0]


def test_a_text_record_names_a_variable_without_giving_a_value(opened):
    body = pack("<hhh64s2x", 7, 28, 1, DS1.encode()) + pack("<hh40s", 0, 0, b"moving")
    record = x.xtc(1 << 16 | 13, body, phy=0x09000000, log=0x01000777)
    assert encoders(run_with(opened, [], [x.epics_time(7, -1.0)], cfg=[record])) == [None, -1.0]


def test_records_that_make_no_sense_change_nothing(opened):
    def record(body):
        return x.xtc(1 << 16 | 13, body, phy=0x09000000, log=0x01000777)

    bad = [
        record(b""),
        record(pack("<hhh2x", 7, 20, 1)),
        record(pack("<hhh2x", 7, 99, 1) + bytes(200)),
        record(pack("<hhh2x", 7, 14, 1) + b"text" * 10),
        record(pack("<hhh2x", 7, 20, 0) + bytes(40)),
        x.epics_time(7, float("nan")),
        x.epics_time(8, 1.0),
    ]
    run = run_with(opened, bad, cfg=[x.epics_control(7, DS1, -500.0)])
    assert encoders(run) == [-500.0]


def test_wavelength_from_the_photon_energy(opened):
    (event,) = run_with(opened, [x.ebeam(photon_ev=9500.0)]).events()
    assert event.photon_energy_ev == 9500.0
    assert event.wavelength_angstrom == pytest.approx(12398.4187 / 9500, rel=1e-12)


@pytest.mark.parametrize("photon", [0.0, -1.0, 1e-310, 1e300, float("nan"), float("inf")])
def test_wavelength_from_the_electron_energy(opened, photon):
    (event,) = run_with(opened, [x.ebeam(photon, electron_mev=13600.0)]).events()
    gamma = 13600.0 / 0.51099891
    expected = 3e8 / (2 * gamma**2) * (1 + 3.5**2 / 2)
    assert event.wavelength_angstrom == pytest.approx(expected, rel=1e-12)
    assert event.photon_energy_ev == pytest.approx(12398.4187 / expected, rel=1e-12)


@pytest.mark.parametrize("version", range(8))
def test_every_version_of_the_electron_beam_data(opened, version):
    (event,) = run_with(opened, [x.ebeam(9500.0, 13600.0, version)]).events()
    expected = 12398.4187 / 9500 if version >= 6 else 1.508
    assert event.wavelength_angstrom == pytest.approx(expected, abs=2e-3)


def test_a_dark_run_has_no_wavelength(opened):
    (event,) = run_with(opened, []).events()
    assert event.photon_energy_ev is None
    assert event.wavelength_angstrom is None


@pytest.mark.parametrize("electron", [0.0, -13600.0, 1e-3, 1e200, float("nan"), float("inf")])
def test_an_electron_beam_that_cannot_be_is_unknown(opened, electron):
    (event,) = run_with(opened, [x.ebeam(0.0, electron)]).events()
    assert event.wavelength_angstrom is None


@pytest.mark.parametrize(
    ("damage", "usable"), [(0, True), (1 << 14, True), (1 << 14 | 0xF1 << 24, True),
                           (1 << 12, False), (1 << 1, False)],
)  # fmt: skip
def test_damage_of_the_electron_beam_data(opened, damage, usable):
    (event,) = run_with(opened, [x.ebeam(damage=damage)]).events()
    assert (event.wavelength_angstrom is not None) == usable


def test_event_codes(opened):
    first, second = run_with(opened, [x.evr(40, 140)], [x.evr(41, version=3)]).events()
    assert first.event_codes == (40, 140)
    assert second.event_codes == (41,)


def test_an_impossible_number_of_event_codes_is_bounded(opened):
    body = pack("<I", 0xFFFFFFFF) + pack("<III", 0, 0, 40)
    (event,) = run_with(opened, [x.xtc(4 << 16 | 19, body, phy=0x100)]).events()
    assert event.event_codes == (40,)


def test_events_are_selected_by_code_and_photon_energy(opened):
    from workbench.recipe import Events

    run = run_with(
        opened, [x.evr(40), x.ebeam(9000.0)], [x.evr(162), x.ebeam(9500.0)],
        [x.evr(40), x.ebeam(9600.0)], [x.evr(40)],
    )  # fmt: skip

    def picked(**settings):
        return [event.index for event in run.events(selection=Events(**settings))]

    assert picked(event_codes=(40,)) == [0, 2, 3]
    assert run.skipped == {"without the event code": 1}
    assert picked(photon_energy_min_ev=9400.0) == [1, 2]
    assert run.skipped == {"photon energy unknown": 1, "photon energy outside the range": 1}
    assert picked(event_codes=(40,), photon_energy_max_ev=9100.0) == [0]


def test_events_are_selected_by_index(opened):
    from workbench.recipe import Events

    run = run_with(opened, *[[] for _ in range(10)])

    def picked(**settings):
        return [event.index for event in run.events(selection=Events(**settings))]

    assert picked() == list(range(10))
    assert picked(skip=3, limit=4) == [3, 4, 5, 6]
    assert picked(skip=1, every=3) == [1, 4, 7]
    assert picked(stop=2) == [0, 1]
    assert picked(indices=(8, 2)) == [2, 8]
