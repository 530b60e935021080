defmodule Blanket.MatchPrograms do
  @moduledoc """
  Random match specifications, sensible and not, on random tables: what a search answers or raises, and
  what a change leaves, has to be the same as with `:ets`.
  """

  import Bitwise
  import :proper_types, except: [float: 0, tuple: 0, list: 0, atom: 0]

  alias Blanket.{Property, Table, Terms}

  ## Generators

  @doc """
  Programs of up to so many commands, most of them several calls, on a table of that type.
  """
  def program(type, length) do
    tuple([type, range(1, 2), list_of(16, object()), list_of(length, resize(10, call()))])
  end

  defp object do
    frequency([
      {12, tuple([value(), value(), value()])},
      {2, tuple([value(), value()])},
      {1, tuple([value(), value(), value(), value()])}
    ])
  end

  @plain [0, 1, 2, 3, :a, :b, true, false, "ab", "abc"]
  @alike [1.0, 2.5, 0.0, -0.0, -1, 1 <<< 59, 1 <<< 64, -(1 <<< 70), <<1::3>>, [], {}, {:a}]
  @nested [
    {1, 2},
    {1, {2, :a}},
    {1.0, 2},
    [1, 2],
    {:improper, 1, 3},
    [:a],
    {:map, [{:a, 1}, {:b, 2}]}
  ]
  @terms 1..(length(Terms.numbers()) + length(Terms.others()))

  # Terms of the lists of nasty ones stand in programs by their place there.
  defp value do
    frequency([
      {8, elements(@plain)},
      {2, elements(@alike)},
      {2, elements(@nested)},
      {2, tuple([:term, range(@terms.first, @terms.last)])}
    ])
  end

  # A search is done in all ways.
  defp call do
    frequency([
      {4, tuple([:searches, spec(), limit()])},
      {2, tuple([:matches, pattern(), limit()])},
      {2, tuple([:select_count, counting()])},
      {1, tuple([:select_delete, counting()])},
      {1, tuple([:match_delete, tuple([value(), variable(), value()])])},
      {2, tuple([:select_replace, replacing()])},
      {3, tuple([:insert, object()])}
    ])
  end

  defp limit do
    frequency([{8, range(1, 4)}, {2, range(5, 40)}, {1, elements([0, -1, :a, 1.0])}])
  end

  defp calls({:searches, spec, limit}) do
    [
      select: [spec],
      select: [spec, limit],
      select_reverse: [spec],
      select_reverse: [spec, limit],
      select_count: [spec]
    ]
  end

  defp calls({:matches, pattern, limit}) do
    [
      match: [pattern],
      match: [pattern, limit],
      match_object: [pattern],
      match_object: [pattern, limit]
    ]
  end

  defp calls({function, argument}), do: [{function, [argument]}]

  defp variable, do: elements([:"$1", :"$2", :"$3", :_, :_])

  ## Heads

  defp pattern do
    frequency([
      {6, tuple([part(), part(), part()])},
      {3, {:"$1", :"$2", :"$3"}},
      {2, tuple([value(), part(), part()])},
      {2, tuple([part(), part()])},
      {2, elements([:_, :"$1", :"$7"])},
      {1, part()}
    ])
  end

  defp part, do: sized(&part/1)

  defp part(0),
    do: frequency([{4, variable()}, {3, value()}, {1, elements([:"$0", :"$_", :"$$"])}])

  defp part(size) do
    frequency([
      {6, part(0)},
      {1, tuple([:tuple, parts(size)])},
      {1, tuple([part(0), lazy_part(size)])},
      {1, parts(size)},
      {1, tuple([:improper, lazy_part(size), lazy_part(size)])},
      {1, tuple([:map, list(tuple([elements([:a, :b, 1, {1}, :"$1", :_]), lazy_part(size)]))])}
    ])
  end

  defp parts(size), do: resize(3, list(lazy_part(size)))
  defp lazy_part(size), do: lazy(fn -> part(div(size, 4)) end)

  ## Guards and bodies

  defp spec, do: clauses(list_of(2, guard()), body())
  defp counting, do: clauses(list_of(2, guard()), frequency([{6, [true]}, {1, body()}]))

  defp clauses(guards, body) do
    clause = tuple([pattern(), guards, body])
    sensible = tuple([{:"$1", :"$2", :"$3"}, guards, body])

    frequency([
      {24, fixed_list([frequency([{4, sensible}, {1, clause}])])},
      {9, list_of(3, frequency([{2, sensible}, {1, clause}]))},
      {1, elements([[], :spec, [{:_, []}], [{:_, [], [], []}], {:_, [], []}])},
      {1, tuple([:improper, clause, value()])},
      {1, fixed_list([tuple([pattern(), expression(), expression()])])}
    ])
  end

  defp body, do: frequency([{8, fixed_list([expression()])}, {1, list_of(2, expression())}])

  defp guard do
    frequency([
      {4,
       tuple([elements([:<, :>, :"=<", :>=, :==, :"=:=", :"/=", :"=/="]), simple(), simple()])},
      {3, expression()},
      {1, elements([true, false, 1])}
    ])
  end

  defp simple do
    frequency([
      {5, elements([:"$1", :"$2", :"$3"])},
      {4, constant()},
      {1, elements([:"$_", :"$$"])}
    ])
  end

  defp constant do
    frequency([
      {4, elements(@plain ++ (@alike -- [{}, {:a}]))},
      {2, tuple([:const, value()])},
      {1, tuple([tuple([value(), value()])])}
    ])
  end

  defp expression, do: resize(12, sized(&expression/1))

  defp expression(0), do: simple()

  defp expression(size) do
    frequency([
      {20, simple()},
      {40, called(size)},
      {10, tuple([tuple([lazy_expression(size), lazy_expression(size)])])},
      {10, list_of(3, lazy_expression(size))},
      {5, tuple([:improper, lazy_expression(size), lazy_expression(size)])},
      {5, tuple([:map, list_of(2, tuple([elements([:a, 1, {{1}}]), lazy_expression(size)]))])},
      {5, tuple([:map, list_of(2, tuple([lazy_expression(size), lazy_expression(size)]))])},
      {1, value()}
    ])
  end

  defp lazy_expression(size), do: lazy(fn -> expression(div(size, 3)) end)

  @tests [
    :is_atom,
    :is_binary,
    :is_float,
    :is_function,
    :is_integer,
    :is_list,
    :is_map,
    :is_number,
    :is_pid,
    :is_port,
    :is_reference,
    :is_tuple,
    :not
  ]
  @unary [
    :abs,
    :+,
    :-,
    :bnot,
    :float,
    :round,
    :trunc,
    :hd,
    :tl,
    :length,
    :size,
    :byte_size,
    :bit_size,
    :map_size,
    :node
  ]
  @binary [
    :+,
    :-,
    :*,
    :/,
    :div,
    :rem,
    :band,
    :bor,
    :bxor,
    :bsl,
    :bsr,
    :element,
    :map_get,
    :is_map_key,
    :xor,
    :<,
    :>,
    :"=<",
    :>=,
    :==,
    :"=:=",
    :"/=",
    :"=/=",
    :binary_part
  ]

  defp called(size) do
    part = lazy_expression(size)
    logical = elements([:and, :or, :andalso, :orelse])

    frequency([
      {40, tuple([elements(@tests), part])},
      {40, tuple([elements(@unary), part])},
      {80, tuple([elements(@binary), part, part])},
      {20, tuple([:element, range(0, 4), :"$_"])},
      {30, tuple([logical, part, part])},
      {10, tuple([logical, part, part, part])},
      {10, tuple([logical, part])},
      {10, tuple([:is_record, part, elements([:a, 1, :"$1"]), elements([1, 2, :a])])},
      {5, elements([{:self}, {:node}])},
      {1,
       elements([
         {:self},
         {:node},
         {:const},
         {:const, 1, 2},
         {:no_function, 1},
         {:and},
         {:self, 1}
       ])},
      {1, tuple([elements(@tests ++ @unary ++ @binary), part])}
    ])
  end

  # Those that keep the key, those that do not, and those of which it is hard to say.
  defp replacing do
    keeping =
      elements([
        {{:"$1", :"$2", :"$3"}, [:"$_"]},
        {{:"$1", :"$2", :"$3"}, [{{:"$1", :"$2", {:+, :"$3", 1}}}]},
        {{:"$1", :"$2", :"$3"}, [{{:"$1", :"$2", {:hd, :"$3"}, 4}}]},
        {{:"$1", :"$2", :"$3"}, [{{{:element, 1, :"$_"}, {:element, 2, :"$_"}, :new}}]},
        {{:"$1", :"$2", :"$3"}, [{{:"$2", :"$1", :"$3"}}]},
        {{1, :"$2", :"$3"}, [{{1, :"$2", :swapped}}]},
        {{{1, 2}, :"$2", :"$3"}, [{{{{1, 2}}, :"$2", :swapped}}]},
        {{{1, :"$1"}, :"$2", :_}, [{{{{1, :"$1"}}, :"$2", :swapped}}]},
        {{[1, 2], :"$2", :_}, [{{[1, 2], :"$2", :swapped}}]},
        {{:a, :b, :_}, [{:const, {:a, :b, :swapped}}]},
        {{:a, :b, :_}, [{{{:const, :a}, {:const, :b}, 1}}]},
        {{1.0, 1.0, :_}, [{{1.0, 1.0, 1}}]},
        {{1, 1, :_}, [{{1.0, 1.0, 1}}]},
        {:_, [:"$_"]},
        {:"$1", [:"$1"]}
      ])

    frequency([
      {6, bind(keeping, fn {head, body} -> [{head, [], body}] end)},
      {3, bind(tuple([keeping, list_of(2, guard())]), &guarded/1)},
      {1, clauses([], fixed_list([:"$_"]))},
      {1, spec()}
    ])
  end

  defp guarded({{head, body}, guards}), do: [{head, guards, body}]

  defp bind(generator, fun), do: :proper_types.bind(generator, fun, false)
  defp list_of(size, element), do: resize(size, list(element))

  ## Programs are data, with terms by their places

  defp terms do
    with nil <- :persistent_term.get(__MODULE__, nil) do
      terms = [nil | Terms.numbers() ++ Terms.others()]
      :persistent_term.put(__MODULE__, List.to_tuple(terms))
      terms()
    end
  end

  defp resolve({:term, index}) when is_integer(index), do: elem(terms(), index)
  defp resolve({:improper, head, tail}), do: [resolve(head) | resolve(tail)]

  defp resolve({:tuple, list}) when is_list(list), do: list |> resolve() |> List.to_tuple()

  defp resolve({:map, pairs}) when is_list(pairs),
    do: Map.new(pairs, fn {key, value} -> {resolve(key), resolve(value)} end)

  defp resolve(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.map(&resolve/1) |> List.to_tuple()

  defp resolve([head | tail]), do: [resolve(head) | resolve(tail)]
  defp resolve(term), do: term

  ## Running

  @doc """
  A program with its terms in place.
  """
  def present(program), do: resolve(program)

  @doc """
  Runs a program. Answers `:ok` or a complaint.
  """
  def run(program) do
    {type, keypos, objects, calls} = resolve(program)
    compare({type, keypos, objects, Enum.flat_map(calls, &calls/1)})
  end

  @doc """
  A table of that type, and about so many calls with a match specification or pattern for one.
  """
  def sample(type, count) do
    {:ok, program} = :proper_gen.pick(program(type, count), count)
    {^type, keypos, objects, calls} = resolve(program)
    calls = calls |> Enum.flat_map(&calls/1) |> Enum.reject(&match?({:insert, _}, &1))
    %{keypos: keypos, objects: objects, calls: calls}
  end

  @doc """
  Does the calls, `{function, arguments}` without the table, on two tables of the objects. Answers `:ok` or
  a complaint. `done` is told of each call when it was done.
  """
  def compare({type, keypos, objects, calls}, done \\ fn _call -> :ok end) do
    calls = Enum.filter(calls, &told_rightly?(&1, keypos))
    Property.count(length(calls))
    sides = for module <- [:ets, Table], do: {module, filled(module, type, keypos, objects)}

    try do
      step(calls, sides, {type, keypos}, done)
    after
      for {module, table} <- sides, do: module.delete(table)
    end
  end

  @doc """
  Whether `:ets` answers a call, `{function, arguments}` without the table, as its documentation says.
  """
  def told_rightly?(call, keypos), do: not (has_map_for_key?(call, keypos) or skips_a_copy?(call))

  # OTP 25 takes a map in the key of a pattern for the whole of the key; later ones match it as they
  # match all maps.
  defp has_map_for_key?({_function, [argument | _limit]}, keypos) do
    patterns = if proper_list?(argument), do: argument, else: [{argument, [], []}]

    Enum.any?(patterns, fn
      {pattern, _guards, _body} when is_tuple(pattern) and tuple_size(pattern) >= keypos ->
        has_map?(elem(pattern, keypos - 1))

      _ ->
        false
    end)
  end

  # :ets copies what a variable is bound to where a body has it first. When that is in a part of an
  # andalso or orelse that is skipped, or in the key of a map, it answers memory of the table itself, and
  # the VM may crash.
  defp skips_a_copy?({_function, [[_ | _] = spec | _limit]}) do
    proper_list?(spec) and
      Enum.any?(spec, fn
        {_pattern, _guards, body} -> has_late_variable?(body)
        _ -> false
      end)
  end

  defp skips_a_copy?(_call), do: false

  defp has_late_variable?(tuple) when is_tuple(tuple) do
    case Tuple.to_list(tuple) do
      [operator, first | later] when operator in [:andalso, :orelse] ->
        has_late_variable?(first) or has_variable?(later)

      elements ->
        has_late_variable?(elements)
    end
  end

  defp has_late_variable?([head | tail]), do: has_late_variable?(head) or has_late_variable?(tail)

  defp has_late_variable?(map) when is_map(map),
    do: map |> Map.keys() |> has_variable?() or map |> Map.values() |> has_late_variable?()

  defp has_late_variable?(_term), do: false

  defp has_variable?(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> has_variable?()
  defp has_variable?([head | tail]), do: has_variable?(head) or has_variable?(tail)
  defp has_variable?(map) when is_map(map), do: map |> Map.to_list() |> has_variable?()
  defp has_variable?(term), do: is_atom(term) and match?("$" <> _, Atom.to_string(term))

  defp proper_list?(term), do: is_list(term) and List.improper?(term) == false

  defp has_map?(term) when is_map(term), do: true
  defp has_map?(term) when is_tuple(term), do: term |> Tuple.to_list() |> has_map?()
  defp has_map?([head | tail]), do: has_map?(head) or has_map?(tail)
  defp has_map?(_term), do: false

  defp filled(module, type, keypos, objects) do
    table = module.new(:match_program, [type, keypos: keypos])
    for object <- objects, tuple_size(object) >= keypos, do: module.insert(table, object)
    table
  end

  defp step([call | calls], [reference, blanket] = sides, shape, done) do
    expected = perform(call, reference)
    got = perform(call, blanket)
    done.(call)

    with :ok <- Property.compare(call, answer(call, expected, shape), answer(call, got, shape)),
         :ok <- well_told(got),
         :ok <- unchanged(call, sides, shape),
         do: step(calls, sides, shape, done)
  end

  defp step([], sides, shape, _done), do: same_contents(:contents, sides, shape)

  @changes [:select_delete, :match_delete, :select_replace, :insert]

  defp unchanged({function, _args}, sides, shape) when function in @changes,
    do: same_contents(function, sides, shape)

  defp unchanged(_call, _sides, _shape), do: :ok

  defp same_contents(what, sides, shape) do
    [expected, got] =
      for {module, table} <- sides do
        {module.info(table, :size),
         answer({:match_object, [:_]}, {:ok, module.tab2list(table)}, shape)}
      end

    Property.compare(what, expected, got)
  end

  defp perform({function, [argument, limit]}, {module, table}) do
    {:ok, portions(module, function, apply(module, function, [table, argument, limit]), limit)}
  catch
    kind, reason -> {:raised, kind, reason, __STACKTRACE__}
  end

  defp perform({function, args}, {module, table}) do
    {:ok, apply(module, function, [table | args])}
  catch
    kind, reason -> {:raised, kind, reason, __STACKTRACE__}
  end

  # A portion has as many results as were asked for, unless it is the last.
  defp portions(_module, _function, :"$end_of_table", _limit), do: []

  defp portions(_module, _function, {results, :"$end_of_table"}, limit)
       when length(results) in 1..limit//1,
       do: results

  defp portions(module, function, {results, continuation}, limit) when length(results) == limit,
    do: results ++ portions(module, function, apply(module, function, [continuation]), limit)

  ## What of an answer has to be the same

  defp answer(_call, {:raised, kind, reason, _stacktrace}, _shape), do: {kind, reason}

  defp answer(_call, {:ok, answer}, {:ordered_set, _keypos}), do: answer

  # The objects of a key come in the order of their insertion, unless :ets is asked for a few at a time.
  defp answer({:match_object, [_pattern]}, {:ok, objects}, {_type, keypos}),
    do: Enum.group_by(objects, &elem(&1, keypos - 1))

  defp answer(_call, {:ok, answer}, _shape) when is_list(answer), do: Enum.frequencies(answer)
  defp answer(_call, {:ok, answer}, _shape), do: answer

  defp well_told({:raised, :error, :badarg, [{Table, _function, args, _info} | _] = stacktrace})
       when is_list(args) do
    if Exception.format_banner(:error, :badarg, stacktrace) =~ " argument: ",
      do: :ok,
      else: "an error without a reason: #{inspect(hd(stacktrace))}"
  end

  defp well_told({:raised, _, _, _} = raised),
    do: "not an error of :ets's kind: #{inspect(raised)}"

  defp well_told(_answer), do: :ok
end
