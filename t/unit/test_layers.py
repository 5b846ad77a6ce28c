"""The layers of ngx_module/ are those of docs/architecture.md.

The page has a table of the folders, lowest first.  A file includes only what
is in its own folder or in a lower one, and no two files need each other.
"""

import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).parents[2]
PAGE = TOP / 'docs' / 'architecture.md'
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ROW = re.compile(r'^\| `([a-z_]+)/` \|', re.M)


def layers(page):
    """The folders of the page's table, lowest first."""
    return ROW.findall(page)


def includes(root):
    """{unit: units that it includes}; a unit is a .c file and its .h."""
    units = {}
    for path in [*root.rglob('*.c'), *root.rglob('*.h')]:
        unit = path.with_suffix('').relative_to(root)
        found = units.setdefault(str(unit), set())
        for name in INCLUDE.findall(path.read_text('utf-8')):
            target = (path.parent / name).resolve().relative_to(root.resolve())
            found.add(str(target.with_suffix('')))
        found.discard(str(unit))
    return units


def folder(unit):
    """The folder of a unit; '' for the module's own file."""
    return unit.partition('/')[0] if '/' in unit else ''


def arrows_up(units, order):
    """Includes of a higher folder; the module's file is above them all."""
    rank = {name: number for number, name in enumerate(order)}
    rank[''] = len(order)
    return sorted((unit, target) for unit, targets in units.items()
                  for target in targets
                  if rank[folder(target)] > rank[folder(unit)])


def circle(units):
    """A circle of units that include each other, or None."""
    done = set()

    def follow(unit, path):
        if unit in path:
            return [*path[path.index(unit):], unit]
        if unit in done:
            return None
        for target in sorted(units.get(unit, ())):
            found = follow(target, [*path, unit])
            if found:
                return found
        done.add(unit)
        return None

    for unit in sorted(units):
        found = follow(unit, [])
        if found:
            return found
    return None


@pytest.fixture(name='order')
def fixture_order():
    return layers(PAGE.read_text('utf-8'))


@pytest.fixture(name='units')
def fixture_units():
    return includes(TOP / 'ngx_module')


def test_page_names_all_folders(order, units):
    assert sorted(order) == sorted({folder(unit) for unit in units} - {''})


def test_each_folder_says_what_it_holds(order):
    for name in order:
        assert (TOP / 'ngx_module' / name / 'README.md').exists(), name


def test_no_include_goes_up(order, units):
    assert not arrows_up(units, order)


def test_upstream_is_free_of_the_rest(units):
    assert not [(unit, target) for unit, targets in units.items()
                for target in targets
                if (folder(unit) == 'upstream') != (folder(target)
                                                    == 'upstream')]


def test_no_circle(units):
    assert circle(units) is None


def test_all_files_are_on_the_page(units):
    page = PAGE.read_text('utf-8')
    assert not [unit for unit in units if not re.search(
        rf'\b{pathlib.PurePath(unit).name}\b', page)]


@pytest.fixture(name='planted')
def fixture_planted(tmp_path):
    def plant(**files):
        for name, target in files.items():
            path = tmp_path / name.replace('_in_', '/')
            for suffix in ('.h', '.c'):
                path.parent.mkdir(exist_ok=True)
                path.with_suffix(suffix).write_text(
                    f'#include "{target}"\n' if suffix == '.c' else '')
        return includes(tmp_path)
    return plant


def test_planted_arrow_up_is_found(planted):
    units = planted(low_in_a='../high/b.h', high_in_b='../low/a.h')
    assert arrows_up(units, ['low', 'high']) == [('low/a', 'high/b')]


def test_planted_circle_is_found(planted):
    units = planted(low_in_a='b.h', low_in_b='c.h', low_in_c='a.h')
    assert circle(units) == ['low/a', 'low/b', 'low/c', 'low/a']
