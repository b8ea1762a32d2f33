"""Small pieces of template language, each for one rule; what Python makes of them is the golden truth."""

MESSAGES = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "hello", "n": 2},
    {"role": "assistant", "content": "Hi", "n": 1},
]

VARIABLES = {
    "t": "  Hello, Wörld  ",
    "items": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "d": {"z": 1, "a": {"b": [1, 2, {"c": None}]}, "items": "mine", "Key": 2.5},
    "people": [
        {"name": "Zoe", "age": 30, "pet": {"kind": "cat"}},
        {"name": "adam", "age": 25},
        {"name": "Bob", "age": 30, "pet": {"kind": "dog"}},
    ],
    "nothing": None,
    "yes": True,
    "x": 7,
    "y": 2.5,
    "lines": "one\ntwo\n\nthree",
    "uni": "日本 é 👍\u200b\u00a0",
    "html": "<a href=\"x\">'&'</a>",
    "empty": "",
}

# Whatever is inside of {{ }}.
EXPRESSIONS = r"""
1 + 2 * 3 - 4
(1 + 2) * 3
7 / 2
8 / 2
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
1.0
1e3
1.5e-7
1e16
123456789012345680.0
0.1 + 0.2
1_000 + 0x1F + 0o17 + 0b11
1 / 3
10 / 0
1 // 0
1 % 0
x ~ y ~ none ~ true
'a' ~ 1 + 2
'a' 'b' "c"
'ab' * 3
3 * 'ab'
[1] * 2 + [3]
(1, 2) + (3,)
'a' + 1
1 + none
[1] + (2,)
true + 1
-true
+5
--5
not true
not not 0
1 < 2 < 3
1 < 2 > 3
1 == 1.0
true == 1
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
none == none
none == false
1 != 2
'1' == 1
[1, [2]] == [1, [2]]
{'a': 1} == {'a': 1.0}
(1, 2) == [1, 2]
1 in [1, 2]
4 not in [1, 2]
'ell' in 'hello'
'' in 'abc'
1 in 'abc'
'z' in d
'z' in undefined_name
1 in 5
1 and 0 or 'c'
'' or none
0 and undefined_name.x
'a' if yes else 'b'
'a' if not yes
('a' if false) is undefined
'a' if false else 'b' if false else 'c'
[1, 'two', 3.0, none, true, [4], (5,), {'k': 'v'}]
()
(1,)
(1)
[]
{}
{'a': 1, 2: 'b', none: [], true: 'x'}
{'a': 1, 'a': 2}
{1: 'a', 1.0: 'b', true: 'c'}
[1, 2, 3,]
{'a': 1,}
'it''s'
['it\'s', "say \"hi\"", 'both \' and "']
['tab\t', 'nl\n', 'back\\', '\x07', '\u00e9', '\u200b', '\U0001F600', 'é']
'\x41\u0042\103\q\/'
'\n\t\r' | length
t
t.strip()
t.strip() | length
t | trim | upper
t.lstrip() ~ '|'
'|' ~ t.rstrip()
'xxhixx'.strip('x')
'abcba'.strip('ab')
'xxhi'.lstrip('x')
'hixx'.rstrip('x')
uni.strip()
uni | length
[uni]
uni[0]
uni[-3]
uni[1:4]
uni[::-1]
t.upper()
t.lower()
'hello world'.title()
"it's o'clock-time".title()
"it's o'clock-time (now) [x]" | title
'hELLO wORLD'.capitalize()
'hELLO' | capitalize
'Straße'.upper()
'aBc'.swapcase()
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.rsplit(',', 1)
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
'a b'.split('')
''.split()
''.split(',')
lines.splitlines()
'a\r\nb\rc\n'.splitlines()
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.endswith('bc')
'abc'.endswith(1)
'abcabc'.find('c')
'abcabc'.find('c', 3)
'abcabc'.find('x')
'abcabc'.rfind('b')
'日本語'.find('語')
'abc'.index('c')
'abc'.index('x')
'banana'.count('an')
'abc'.count('')
'banana'.replace('a', 'o')
'banana'.replace('a', 'o', 2)
'abc'.replace('', '-')
'banana' | replace('a', 'o', 1)
'banana' | replace('an', '')
123 | replace('2', 'x')
','.join(['a', 'b'])
','.join([1])
'k=v=w'.partition('=')
'k=v=w'.rpartition('=')
'kv'.partition('=')
'prefix-x'.removeprefix('prefix-')
'x.py'.removesuffix('.py')
'ab'.center(5)
'abc'.center(6, '*')
'ab'.ljust(4, '.') ~ '|'
'ab'.rjust(4) ~ '|'
'-42'.zfill(5)
'ab' | center(7)
'abc'.isalpha()
'ab1'.isalpha()
'ab1'.isalnum()
'12'.isdigit()
'²'.isdigit()
'²'.isdecimal()
''.isdigit()
'½'.isnumeric()
' \t'.isspace()
'AB1'.isupper()
'12'.isupper()
'ab'.islower()
'Ab Cd'.istitle()
'é'.isascii()
'{} and {}'.format(1, 'two')
'{1}{0}'.format('a', 'b')
'{name}!'.format(name='Bob')
'{:>5}|{:<5}|{:^5}'.format(1, 'a', 'b')
'{:.2f} {:05d} {:x}'.format(3.14159, 42, 255)
'{!r}'.format('q')
'{{}}'.format()
'{}'.format()
'{'.format(1)
'%s is %d and %.2f' % ('a', 3, 2.5)
'%5s|%-5s|%05d|%+d' % ('a', 'b', 42, 7)
'%(a)s-%(b)03d' % {'a': 'x', 'b': 5}
'%s' % 'only'
'%s %s' % 'only'
'%d' % 'x'
'%x %X %o %e %g %c %%' % (255, 255, 8, 12345.678, 0.0001, 'z')
'%s' % none
'%r' % 'q'
'%s' | format('a')
'%(a)s' | format(a=3)
t.nope
t.nope.nope
t.nope()
t.__class__
t._private
undefined_name
undefined_name.x
undefined_name['x']
undefined_name()
undefined_name + 1
undefined_name ~ 'x'
undefined_name == undefined_name
undefined_name == none
undefined_name is defined
undefined_name is none
undefined_name or 'fallback'
undefined_name | length
undefined_name | default('x')
undefined_name | list
undefined_name | join(',')
undefined_name | upper
undefined_name | tojson
undefined_name | int
undefined_name | first
undefined_name < 1
-undefined_name
[undefined_name]
d.z
d['z']
d.a.b[2].c
d.a['b'][-1]
d['items']
d.items() | list
d.keys() | list
d.values() | list | length
d.get('z')
d.get('q')
d.get('q', 5)
d.get('q', default=5)
d.get()
d.missing
d.missing.more
d['missing'] is defined
d.pop('z')
d.update({'q': 1})
d.pop
d.clear()
d.copy() == d
d.Key
d[1]
d[[1]]
items[0]
items[-1]
items[3]
items[3] is defined
items['a']
items.0
items[1.0]
items[true]
items[1:]
items[:-1]
items[::2]
items[::-1]
items[5:]
items[-2:]
items[2:0:-1]
items[none:2]
items[::0]
items['a':]
'hello'[1:3]
'hello'[-3:]
'hello'[::-2]
'hello'[99]
(1, 2, 3)[1:]
5[0]
none[0]
none.x
items.append(4)
items.sort()
items.count(1)
items.index(2)
items.index(9)
items.copy()
items | length
items | count
5 | length
items | first
items | last
[] | first
[] | last is undefined
'abc' | first
'abc' | last
items | sort
items | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
people | sort(attribute='name') | map(attribute='name') | list
people | sort(attribute='age,name') | map(attribute='name') | list
people | sort(attribute='age', reverse=true) | map(attribute='name') | list
[1, 'a'] | sort
items | min
items | max
words | min
words | max(case_sensitive=true)
people | max(attribute='age')
[] | max
items | sum
people | sum(attribute='age')
['a'] | sum
[0.5, 1] | sum(start=10)
items | reverse | list
'abc' | reverse
items | join
items | join('-')
people | join(', ', attribute='name')
[none, 1, true, 'x'] | join('|')
'abc' | join('.')
d | list
'héy' | list
5 | list
(1, 2) | list
words | unique | list
[1, 1.0, true, '1'] | unique | list
people | unique(attribute='age') | list | length
items | map('string') | list
items | map('default', 3) | list
words | map('upper') | join
words | map('replace', 'a', 'z') | list
people | map(attribute='pet.kind') | list
people | map(attribute='pet.kind', default='none') | list
items | map('nosuch') | list
range(6) | select('odd') | list
range(6) | reject('odd') | list
range(6) | select('greaterthan', 3) | list
range(6) | select | list
['', 'a', none, 0] | select | list
['', 'a', none, 0] | reject | list
people | selectattr('pet') | map(attribute='name') | list
people | rejectattr('pet') | map(attribute='name') | list
people | selectattr('age', 'equalto', 30) | list | length
people | selectattr('age', '>', 26) | list
people | selectattr('pet', 'defined') | list | length
people | selectattr('pet.kind', 'eq', 'cat') | map(attribute='name') | list
people | rejectattr('age', 'in', [30]) | map(attribute='name') | first
people | groupby('age') | length
people | selectattr('age') | length
(people | selectattr('age') | list) | length
range(7) | batch(3) | list
range(7) | batch(3, 'x') | list
range(7) | slice(3) | list
range(7) | slice(3, 'x') | list
d | dictsort | map('first') | list
{'b': 1, 'A': 2} | dictsort
{'b': 1, 'A': 2} | dictsort(true)
{'b': 1, 'A': 2} | dictsort(by='value')
{'b': 1, 'A': 2} | dictsort(reverse=true)
{'b': 1, 'A': 2} | dictsort(by='x')
{'a': 1} | items | list
[1] | items | list
'42' | int
'42.7' | int
'abc' | int
'abc' | int(9)
'0x1f' | int(base=16)
'ff' | int(0, 16)
' 12 ' | int
-3.9 | int
none | int
true | int
[] | int(3)
'1.5' | float
'x' | float
'x' | float(2.5)
3 | float
none | float
-5 | abs
-5.5 | abs
'a' | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.5 | round(0, 'ceil')
2.567 | round(1, 'floor')
1234 | round(-2)
5 | round
2.675 | round(2)
1 | string
[1, 'a'] | string
none | string
1.0 | string
'x' | safe
html | e
html | escape
'<' | safe ~ '<'
html | forceescape
'a b&c/d?é' | urlencode
'one two  three' | wordcount
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent(2, blank=true)
lines | indent('> ', first=true)
'' | indent(2, true)
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, true)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(11, false, '...', 0)
'foo bar' | truncate(2)
none | default('x')
none | default('x', true)
'' | default('x', true)
'' | d('x')
false | default('x', boolean=true)
d | tojson
d | tojson(indent=2)
items | tojson(indent=1)
d | tojson(separators=(',', ':'))
d | tojson(sort_keys=true, indent=4)
{'b': 1, 'a': {}} | tojson(sort_keys=true)
[] | tojson(indent=2)
{} | tojson(indent=2)
uni | tojson
uni | tojson(ensure_ascii=true)
html | tojson
'\u0001\x7f"\\\/\b\f' | tojson
'\x7f' | tojson(ensure_ascii=true)
[1, 1.0, 1e20, 1e-7, true, none, 'x'] | tojson
(1, 2) | tojson
{1: 'a', none: 2, true: 3, 1.5: 4} | tojson
items | tojson(indent='--')
items | tojson(nosuch=1)
items | map('string') | tojson
range(3) | list
range(2, 5) | list
range(5, 0, -2) | list
range(0)  | list
range(1, 2, 0) | list
range(100001) | list | length
range('a')
range(3)[1]
range(3) | length
dict(a=1, b=2)
dict({'x': 1}, y=2)
namespace(a=1).a
namespace({'a': 2}).a
namespace().missing
1 is odd
2 is even
9 is divisibleby 3
9 is divisibleby(2)
1 is number
true is number
'a' is number
1.5 is float
1 is float
1 is integer
true is integer
true is boolean
true is true
1 is true
false is false
'a' is string
d is mapping
items is mapping
items is sequence
'a' is sequence
5 is sequence
d is sequence
items is iterable
5 is iterable
undefined_name is iterable
undefined_name is sequence
none is none
'abc' is lower
'ABC' is upper
1 is sameas 1
true is sameas true
1 is sameas true
1 is eq 1
1 is ne 2
1 is lt 2
1 is ge 2
1 is in [1]
'a' is in 'abc'
1 is not none
1 is not in [2]
range is callable
'a' is callable
'upper' is filter
'nope' is filter
'odd' is test
'a' is escaped
x is defined and y is defined
x is number and not x is string
not x is none
x is odd if yes else 0
(x is odd) ~ '!'
x is nosuch
x | nosuch
'a' if true else x | nosuch
1 is odd is even
x|string|length
-x|abs
x + y|int
'a' ~ 'b'|upper
'a,b' .split(',')[0]
(items|sort)[0]
[1,2][0]
{'a':{'b':2}}.a.b
{'a': [1, 2]}['a'][1]
messages[0].content
messages[0]['role'] == 'system'
messages[-1].n
messages|map(attribute='role')|join('/')
messages|selectattr('n', 'defined')|map(attribute='n')|sum
messages[1:]|length
raise_exception('no')
raise_exception(1)
nothing
nothing.x
nothing == None
True and False
None
yes
1 if
1 +
(1
[1, 2
{'a' 1}
{'a': 1
1 2
'unclosed
a b
a..b
a.
a[
f(1,,2)
f(a=1, 2)
f(**{}, 1)
f(*[1], 2)
!x
x $ y
x & y
x = 1
@
1__0
0777
1.
.5
d | attr('z')
'a' < 'B'
'é' > 'z'
[3, 1] | sort | first
'a\
b'
loop
loop.index
caller()
varargs
1 < 'a' if false else 'ok'
'x' in ['x', 'y'] and 'z' not in 'abc'
(1, 'a') in [(1, 'a')]
[[1, 2], [3]] | map('sum') | list
[[1, 2], [3]] | map('join', '-') | list
[3.0, 2] | max
1e400
-1e400
(1e400 - 1e400) == (1e400 - 1e400)
2 ** 0.5
9223372036854775807 + 0
'abc'.upper().lower().title()
'  x '.strip() == 'x'
strftime_now('%%')
strftime_now('') == ''
[1,2,3] == [1,2,3] == [1,2,3]
'a' 'b' ~ 'c'
x // 2 ~ x % 2
d.a.b | length
[d.z, d['Key']] | join('+')
""".strip("\n").split("\n")

STATEMENTS = [
    # whitespace control
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}\n  b\n  {% endif %}\nc",
    "a\n  {%- if yes %}\n  b\n  {%- endif %}\nc",
    "a\n  {%- if yes -%}\n  b\n  {%- endif -%}\nc",
    "a\n  {%+ if yes %}\n  b\n  {%+ endif %}\nc",
    "a\n{% if yes +%}\nb\n{% endif +%}\nc",
    "a {{ x }}\nb",
    "a\n  {{ x }}\n  b",
    "a\n  {{- x }}\n  b",
    "a\n  {{ x -}}\n  b",
    "a\n  {{- x -}}\n  b",
    "a\n  {{+ x }}\n  b",
    "  {{ x }}",
    "  {% if yes %}x{% endif %}",
    "x  {% if yes %}x{% endif %}",
    "{{ x }}  {% if yes %}\nx{% endif %}",
    "{% if yes %}\n\n\nx{% endif %}",
    "a\r\n{% if yes %}\r\nb\r\n{% endif %}\r\nc\r\n",
    "a\rb",
    "trailing\n",
    "trailing\n\n",
    "\n\nleading",
    "{# comment #}\nx",
    "a\n  {# comment #}\n  b",
    "a\n  {#- comment -#}\n  b",
    "a {#+ comment +#}\n b",
    "{# {{ x }} {% if %} #}ok",
    "{# open",
    "{##}x",
    "{#-#}x",
    "a {#-#} b",
    "{{ '{{' }} {{ '%}' }} {% raw %}{{ x }} {% if %}{% endraw %}",
    "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "a\n  {%- raw -%}\n  {{ x }}\n  {%- endraw -%}\nb",
    "{% raw %}{% endraw %}",
    "{%raw%}a{%endraw%}b",
    "{% raw %}a{%- endraw +%}\nb",
    "{{ {'a': {'b': 1}} }}",
    "{{ {'a': 1}['a'] }}}",
    "{ { } } {a {% if yes %}{{% endif %}",
    "}} %} #}",
    "{",
    "{{",
    "{%",
    "{{ }}",
    "{% %}",
    "{{ x",
    "{{ x }",
    "{% if yes }}",
    "{{ x %}",
    "{{ (x }}",
    "{{ x) }}",
    "{{ [x) }}",
    # if
    "{% if x > 5 %}big{% elif x > 3 %}mid{% else %}small{% endif %}",
    "{% if x > 50 %}big{% elif x > 3 %}mid{% else %}small{% endif %}",
    "{% if x > 50 %}big{% elif x > 30 %}mid{% else %}small{% endif %}",
    "{% if empty %}1{% elif nothing %}2{% elif [] %}3{% elif {} %}4{% elif 0 %}5{% else %}6{% endif %}",
    "{% if yes and not nothing %}a{% endif %}",
    "{% if %}{% endif %}",
    "{% if yes %}",
    "{% endif %}",
    "{% if yes %}{% else %}{% else %}{% endif %}",
    "{% if yes %}{% endfor %}",
    "{% if nosuch %}{{ 1 | nosuch }}{% endif %}ok",
    "{% if 1, %}a{% endif %}",
    # set
    "{% set a = 1 %}{{ a }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set a, b = [1] %}",
    "{% set (a, (b, c)) = (1, (2, 3)) %}{{ a }}{{ b }}{{ c }}",
    "{% set a %}  block {{ x }}\n{% endset %}[{{ a }}]",
    "{% set a | upper | trim %} block {% endset %}[{{ a }}]",
    "{% set a | replace('b', 'c') %}abc{% endset %}{{ a }}",
    "{% set ns = namespace(a=1) %}{% set ns.a = 5 %}{{ ns.a }}",
    "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}",
    "{% set ns = namespace() %}{% set ns.a %}x{% endset %}{{ ns.a }}",
    "{% set q.a = 5 %}",
    "{% set d.a = 5 %}",
    "{% set true = 5 %}",
    "{% set 1 = 5 %}",
    "{% set a = %}",
    "{% set a %}",
    "{% set x = x + 1 %}{{ x }}",
    "{% set messages = messages[1:] %}{{ messages | length }}",
    "{% if yes %}{% set a = 1 %}{% endif %}{{ a }}",
    "{% for i in items %}{% set a = i %}{% endfor %}[{{ a }}]",
    "{% set a = 0 %}{% for i in items %}{{ a }}{% set a = i %}{{ a }};{% endfor %}{{ a }}",
    "{% set ns = namespace(t=0) %}{% for i in items %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}",
    "{% set ns = namespace(f=false) %}{% for i in items %}{% if i == 1 %}{% set ns.f = true %}{% endif %}{% endfor %}{{ ns.f }}",
    "{% set a = namespace(l=[]) %}{% for i in items %}{% set a.l = a.l + [i * 2] %}{% endfor %}{{ a.l }}",
    # for
    "{% for i in items %}{{ i }},{% endfor %}",
    "{% for i in items %}\n  {{ i }}\n{% endfor %}\n",
    "{% for i in items %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for i in items %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
    "{% for i in items %}{{ loop.previtem.x }}{% endfor %}",
    "{% for i in items %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for i in items %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}",
    "{% for i in items %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for i in items %}{% for j in items %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in items %}{% set outer = loop %}{% for j in 'ab' %}{{ outer.index }}{{ j }}{% endfor %}{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}",
    "{% for i in items %}x{% else %}none{% endfor %}",
    "{% for i in undefined_name %}x{% else %}none{% endfor %}",
    "{% for i in nothing %}x{% endfor %}",
    "{% for i in 5 %}x{% endfor %}",
    "{% for c in 'héy' %}{{ c }}.{% endfor %}",
    "{% for k in d %}{{ k }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | items %}{{ k }};{% endfor %}",
    "{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}",
    "{% for (a, b) in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for i in items if i > 1 %}{{ i }}{{ loop.length }}{{ loop.index }} {% endfor %}",
    "{% for i in items if i > 9 %}{{ i }}{% else %}none{% endfor %}",
    "{% for m in messages if m.role != 'system' %}{{ m.role }}{{ loop.first }}{% endfor %}",
    "{% for i in items | sort %}{{ i }}{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% endfor %}",
    "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}",
    "{% for i in items %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}.",
    "{% for i in items %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}.",
    "{% for i in items %}{% for j in items %}{% if j == 1 %}{% break %}{% endif %}{{ j }}{% endfor %}{{ i }}{% endfor %}",
    "{% break %}",
    "{% for i in items %}{% endif %}",
    "{% for i items %}{% endfor %}",
    "{% for in items %}{% endfor %}",
    "{% for i in items %}",
    "{% for x in items %}{{ x }}{% endfor %}{{ x }}",
    "{% for loop in items %}{{ loop }}{% endfor %}",
    "{% for p in people recursive %}{{ p.name }}{% if p.pet %}({{ loop([{'name': p.pet.kind}]) }}){% endif %} {% endfor %}",
    "{% for p in [[1, [2, [3]]]] recursive %}{{ loop.depth }}{% for q in p %}{% endfor %}{% endfor %}",
    "{% for n in [[1, [2]], [3]] recursive %}{% if n is iterable %}<{{ loop(n) }}>{% else %}{{ n }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for i in items %}{{ loop(1) }}{% endfor %}",
    "{% set g = items | map('string') %}{{ g | list }}{{ g | list }}",
    "{% for a in items %}{% for b in items %}{{ a * b }}{{ ' ' if not loop.last }}{% endfor %}\n{% endfor %}",
    "{% for i in items -%}\n  {{ i }}\n{%- endfor %}",
    "{%- for i in items %}\n{{- i }}\n{%- endfor -%}\n",
    # macros
    "{% macro f(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(b=4, a=5) }} {{ f() }}",
    "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}",
    "{% macro f(a) %}{{ a.b }}{% endmacro %}{{ f() }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, z=3) }}",
    "{% macro f(a) %}{{ a }}{{ varargs | length }}{{ kwargs | length }}{% endmacro %}{{ f(1, 2, 3, z=3) }}",
    "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}body{% endcall %}",
    "{% macro f() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b=9) f() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}",
    "{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}",
    "{% macro f() %}x{% endmacro %}{% call f() %}body{% endcall %}",
    "{% call 5 %}x{% endcall %}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro f() %}{{ x }}{% set x = 1 %}{{ x }}{% endmacro %}{{ f() }}{{ x }}",
    "{% macro f() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ f() }}",
    "{{ f() }}{% macro f() %}x{% endmacro %}",
    "{% macro f() %}  x\n{% endmacro %}[{{ f() }}]",
    "{% macro f() -%}\n  x\n{%- endmacro %}[{{ f() }}]",
    "{% macro f(a, a2='d') %}{{ a ~ a2 }}{% endmacro %}{{ f(*['1', '2']) }}{{ f(**{'a': '3'}) }}",
    "{% macro f(a=1, b) %}{% endmacro %}",
    "{% macro f(1) %}{% endmacro %}",
    "{% macro %}{% endmacro %}",
    "{% macro f() %}",
    "{% macro f() %}{% endmacro %}{{ f().strip() == '' }}{{ f.name }}",
    "{% macro f() %}<b>{% endmacro %}{{ f() | e }}",
    "{% for i in items %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}",
    "{% macro outer() %}{% macro inner() %}in{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{% for m in messages %}{{ f(m.role) }}{% endfor %}",
    "{% macro f(xs) %}{% for x in xs %}{{ x }}{% endfor %}{% endmacro %}{{ f(items) }}{{ x }}",
    # with, filter, block, print
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% with x = 1 %}{% with y2 = x %}{{ y2 }}{% endwith %}{% endwith %}{{ x }}",
    "{% with a = 1, b = a %}[{{ b }}]{% endwith %}",
    "{% filter upper %}abc {{ t }}{% endfilter %}",
    "{% filter upper | trim %} abc {% endfilter %}|",
    "{% filter replace('a', 'b') %}aaa{% endfilter %}",
    "{% filter nosuch %}aaa{% endfilter %}",
    "{% block a %}x{{ x }}{% endblock %}",
    "{% block a %}x{% endblock a %}",
    "{% print x, y %}",
    "{% print x %}",
    "{{ 1, 2 }}",
    "{% do x %}",
    "{% nosuch %}",
    "{% 1 %}",
    # generation
    "a{% generation %}b{{ x }}{% endgeneration %}c{% generation %}d{% endgeneration %}",
    "é{% generation %}日本{% endgeneration %}é",
    "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}",
    "{% for m in messages %}\n{%- generation -%}\n {{ m.content }} \n{%- endgeneration -%}\n{% endfor %}",
    "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{% generation %}",
    "{% endgeneration %}",
    "{% generation %}{% endgeneration %}x",
    # errors and oddities
    "{{ raise_exception('x') }}",
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}",
    "{% if false %}{{ raise_exception('x') }}{% endif %}ok",
    "{{ 'a' }}{{ undefined_name.x }}",
    "{{ d['a']['b'][2]['c'] }} {{ d.a.b.2.c }}",
    "{{ \"line\nbreak\" }}",
    "{{ x }}{{ y }}{{ yes }}{{ nothing }}{{ items }}{{ d }}",
    "text only",
    "",
    "{{ t | trim | replace('Hello', 'Bye') | upper | length }}",
    "{{ messages | tojson }}",
    "{{ messages[1] | tojson(indent=2) }}",
    "{%- set tools = tools or [] -%}{{ tools | length }}{{ tools is none }}",
    "{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}",
    "{{ messages == messages[:] }}{{ messages[0] in messages }}",
    "{%- if messages[0]['role'] == 'system' -%}\n{%- set sys = messages[0]['content'] -%}\n{%- endif -%}\n[{{ sys }}]",
    "{%for m in messages%}{{m.role}}{%endfor%}",
    "{%-for m in messages-%} {{-m.role-}} {%-endfor-%}",
]

PIECES = ["{{ " + text + " }}" for text in EXPRESSIONS] + STATEMENTS
