defmodule Blanket.Native do
  @moduledoc false

  @on_load :load

  # The calls of every day: arguments and results are those of :ets, every failure is a badarg.
  def insert(_table, _object_or_objects), do: not_loaded()
  def insert_new(_table, _object_or_objects), do: not_loaded()
  def lookup(_table, _key), do: not_loaded()
  def lookup_element(_table, _key, _pos), do: not_loaded()
  def lookup_element(_table, _key, _pos, _default), do: not_loaded()
  def member(_table, _key), do: not_loaded()
  def delete(_table, _key), do: not_loaded()
  def delete_object(_table, _object), do: not_loaded()
  def delete_all_objects(_table), do: not_loaded()
  def take(_table, _key), do: not_loaded()
  def update_counter(_table, _key, _operations), do: not_loaded()
  def update_counter(_table, _key, _operations, _default), do: not_loaded()
  def update_element(_table, _key, _specs), do: not_loaded()
  def update_element(_table, _key, _specs, _default), do: not_loaded()
  def first(_table), do: not_loaded()
  def last(_table), do: not_loaded()
  def next(_table, _key), do: not_loaded()
  def prev(_table, _key), do: not_loaded()
  def first_lookup(_table), do: not_loaded()
  def last_lookup(_table), do: not_loaded()
  def next_lookup(_table, _key), do: not_loaded()
  def prev_lookup(_table, _key), do: not_loaded()
  def slot(_table, _slot), do: not_loaded()
  def safe_fixtable(_table, _fix?), do: not_loaded()
  def tab2list(_table), do: not_loaded()

  # Beyond :ets: lookup_many answers its lists in the opposite order, scan starts at :start and goes on
  # at the cursor that it answered.
  def fetch(_table, _key), do: not_loaded()
  def get(_table, _key, _default), do: not_loaded()
  def lookup_many(_table, _keys), do: not_loaded()
  def delete_many(_table, _keys), do: not_loaded()
  def scan(_table, _from), do: not_loaded()
  def scan_back(_table, _from), do: not_loaded()

  # Match specifications. Those that are not covered natively are answered by :uncovered; remove answers
  # how many objects it removed, and exchange whether it replaced one.
  def select(_table, _spec), do: not_loaded()
  def select(_table, _spec, _limit), do: not_loaded()
  def select(_continuation), do: not_loaded()
  def select_reverse(_table, _spec), do: not_loaded()
  def select_reverse(_table, _spec, _limit), do: not_loaded()
  def select_count(_table, _spec), do: not_loaded()
  def select_delete(_table, _spec), do: not_loaded()
  def select_replace(_table, _spec), do: not_loaded()
  def compile_match_spec(_spec, _type, _keypos), do: not_loaded()
  def is_match_spec(_term), do: not_loaded()
  def remove(_table, _object), do: not_loaded()
  def exchange(_table, _object, _new), do: not_loaded()
  def compare_and_swap(_table, _object, _new), do: not_loaded()

  # A table's life: see Blanket.Table for what the arguments may be.
  def new(_settings), do: not_loaded()
  def delete_table(_table), do: not_loaded()
  def rename(_table, _name), do: not_loaded()
  def whereis(_name), do: not_loaded()
  def all(), do: not_loaded()
  def info(_table), do: not_loaded()
  def setopts(_table, _options), do: not_loaded()
  def give_away(_table, _pid, _data), do: not_loaded()

  # Snapshots: snapshot takes a list of tables, snapshot_many a long one, release answers whether it was the one to end it, count
  # counts the objects of any table.
  def snapshot(_tables), do: not_loaded()
  def snapshot_many(_tables), do: not_loaded()
  def release(_snapshot), do: not_loaded()
  def is_snapshot(_term), do: not_loaded()
  def count(_table), do: not_loaded()

  # Transactions: use_table answers what a transaction has to know of a table, commit `:large` where commit_large
  # is to be asked, that `:held_back` where a turn lasts, join_turn whether the turn has come.
  def use_table(_table), do: not_loaded()
  def watch(_table), do: not_loaded()
  def end_watch(_watch), do: not_loaded()
  def commit(_tables, _read_set, _write_set, _watches), do: not_loaded()
  def commit_large(_tables, _read_set, _write_set, _watches), do: not_loaded()
  def join_turn(_tables), do: not_loaded()
  def leave_turn(_turn), do: not_loaded()
  def pass_turn(), do: not_loaded()

  # Durable tables: see native/blanket_nif/src/nif/durable.rs.
  def durable_open(_settings), do: not_loaded()
  def durable_load(_opening), do: not_loaded()
  def durable_close(_opening), do: not_loaded()
  def new_durable(_settings, _opening), do: not_loaded()
  def durable_delete(_table), do: not_loaded()
  def durable_closing(_path), do: not_loaded()
  def durable_ask(_table, _reference), do: not_loaded()
  def durable_flush_all(), do: not_loaded()
  def durable_backup(_table, _path), do: not_loaded()
  def durable_restore(_from, _to), do: not_loaded()
  def durable_verify(_path), do: not_loaded()

  # Kept tables.
  def keep(_table, _ref, _data), do: not_loaded()
  def kept(_ref), do: not_loaded()
  def kept(), do: not_loaded()
  def kept_as(_table), do: not_loaded()
  def unkeep(_table), do: not_loaded()
  def unkeep(_table, _hand_overs), do: not_loaded()
  def orphan(_table), do: not_loaded()
  def claim(_table, _pid), do: not_loaded()

  @doc false
  def load do
    library = :filename.join([:code.priv_dir(:blanket), ~c"native", ~c"libblanket_nif"])

    case :erlang.load_nif(library, samples()) do
      :ok -> :ok
      {:error, {reason, text}} -> {:error, explain(reason, List.to_string(text), library)}
    end
  end

  # Releases differ in these: the library learns from them how the VM calculates, and what native records
  # look like. The numbers are read here, or the compiler's VM would calculate.
  defp samples do
    large = String.to_integer("166153499473114502559719956244594689")
    {abs(String.to_float("-0.0")), :erlang.float(large), record()}
  end

  # From OTP 29 on.
  defp record do
    apply(:records, :create, [__MODULE__, :sample, [field: 1], %{is_exported: false}])
  rescue
    UndefinedFunctionError -> []
  end

  defp explain(reason, text, library) do
    advice =
      case reason do
        :load_failed -> "it is missing, or was built for another machine or libc"
        :bad_lib -> "it was built for another version of Blanket"
        :upgrade -> "another build of it is loaded already: restart the node"
        :reload -> "another build of it is loaded already: restart the node"
        _ -> "it does not fit this Erlang/OTP"
      end

    message =
      "Blanket cannot load its native library #{library}: #{advice}. " <>
        "`mix compile --force` in the project builds it anew. (#{text})"

    :logger.error(String.to_charlist(message))
    {reason, message}
  end

  defp not_loaded, do: :erlang.nif_error(:nif_not_loaded)
end
