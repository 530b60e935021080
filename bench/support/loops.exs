# The loops that are timed, compiled for :ets and for Blanket.Table, so that neither is called through
# a variable. Each comes to a number that depends on the answers of all its calls: answers are used the
# same on both sides, and both sides have to come to the same number.

defmodule Bench.Loop do
  @moduledoc false

  @doc """
  Defines `name(t, list)`: the sum of `body` over all elements of the list.
  """
  defmacro each(name, t, element, do: body) do
    quote do
      def unquote(name)(t, list), do: unquote(name)(t, list, 0)

      defp unquote(name)(unquote(t), [unquote(element) | rest], sum),
        do: unquote(name)(unquote(t), rest, sum + unquote(body))

      defp unquote(name)(_t, [], sum), do: sum
    end
  end
end

for {loops, table} <- [{Bench.Loops.Ets, :ets}, {Bench.Loops.Blanket, Blanket.Table}] do
  defmodule loops do
    @moduledoc false
    import Bench.Loop

    @table table

    def new(options), do: @table.new(:bench, [:public | options])
    def drop(t), do: @table.delete(t)
    def info(t, item), do: @table.info(t, item)

    each :insert, t, object do
      true = @table.insert(t, object)
      1
    end

    each :member, t, key do
      true = @table.member(t, key)
      1
    end

    each :missing, t, key do
      [] = @table.lookup(t, key)
      1
    end

    each :lookup, t, key do
      [{_, value}] = @table.lookup(t, key)
      value
    end

    each :lookup_fields, t, key do
      [{_, fields}] = @table.lookup(t, key)
      map_size(fields)
    end

    each :lookup_several, t, key do
      [{_, value} | _] = @table.lookup(t, key)
      value
    end

    each(:lookup_element, t, key, do: @table.lookup_element(t, key, 2))
    each(:update_counter, t, key, do: @table.update_counter(t, key, 1))

    each :delete, t, key do
      true = @table.delete(t, key)
      1
    end

    each(:count_selected, t, spec, do: length(@table.select(t, spec)))

    each :insert_lists, t, objects do
      true = @table.insert(t, objects)
      1
    end

    # Nineteen look-ups, then an insert.
    def mixed(t, objects), do: mixed(t, objects, 19, 0)
    defp mixed(_t, [], _reads, sum), do: sum

    defp mixed(t, [object | objects], 0, sum) do
      true = @table.insert(t, object)
      mixed(t, objects, 19, sum)
    end

    defp mixed(t, [{key, _} | objects], reads, sum) do
      [{_, value}] = @table.lookup(t, key)
      mixed(t, objects, reads - 1, sum + value)
    end

    def walk(t), do: walk(t, @table.first(t), 0)
    defp walk(_t, :"$end_of_table", count), do: count
    defp walk(t, key, count), do: walk(t, @table.next(t, key), count + 1)

    # What OTP has from release 27 on takes two calls before.
    if Code.ensure_loaded?(table) and function_exported?(table, :next_lookup, 2) do
      def walk_lookup(t), do: walk_lookup(t, @table.first_lookup(t), 0)
      defp walk_lookup(_t, :"$end_of_table", sum), do: sum

      defp walk_lookup(t, {key, [{_, value}]}, sum),
        do: walk_lookup(t, @table.next_lookup(t, key), sum + value)
    else
      def walk_lookup(t), do: walk_lookup(t, @table.first(t), 0)
      defp walk_lookup(_t, :"$end_of_table", sum), do: sum

      defp walk_lookup(t, key, sum) do
        [{_, value}] = @table.lookup(t, key)
        walk_lookup(t, @table.next(t, key), sum + value)
      end
    end

    def insert_list(t, objects), do: @table.insert(t, objects)
    def tab2list(t), do: @table.tab2list(t)
    def foldl(t), do: @table.foldl(fn {_, value}, sum -> sum + value end, 0, t)
    def select(t, spec), do: @table.select(t, spec)
    def select_count(t, spec), do: @table.select_count(t, spec)
    def select_delete(t, spec), do: @table.select_delete(t, spec)
    def match_delete(t, pattern), do: @table.match_delete(t, pattern)
    def delete_all_objects(t), do: @table.delete_all_objects(t)

    # Tables of as many objects as the list has, all there at the same time.
    def tables(options, count, objects) do
      tables = for _ <- 1..count, do: filled(options, objects)
      Enum.each(tables, &drop/1)
      count
    end

    defp filled(options, objects) do
      t = new(options)
      insert(t, objects)
      t
    end

    @doc "The same for tables with the same objects, in whatever order."
    def contents(t) do
      add = fn object, {count, sum} -> {count + 1, sum + :erlang.phash2(object)} end
      @table.foldl(add, {0, 0}, t)
    end
  end
end
