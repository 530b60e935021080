defmodule Blanket.Inspector.TableInfo do
  @moduledoc """
  What is known of a table without a look at its objects.

  In `iex` it prints on one line:

      iex> {:ok, table} = Blanket.claim_table(:doc_known, create_table: {:stars, [:bag]})
      iex> inspect(Blanket.Inspector.table(table)) =~ ~r/^#Blanket.Table<:stars, bag, 0 objects, /
      true
  """

  alias Blanket.{Heir, Native}

  @enforce_keys [:table, :name, :named, :type, :protection, :keypos, :size, :bytes] ++
                  [:owner, :owner_name, :heir, :kept_as, :state, :since, :hand_overs, :waited]
  defstruct @enforce_keys

  @typedoc """
    * `:table` – the reference;
    * `:name`, `:named` – the name, and whether the table is found by it;
    * `:type`, `:protection`, `:keypos` – as in `Blanket.Table.info/1`;
    * `:size` – the number of objects;
    * `:bytes` – all memory that the table holds;
    * `:owner` – the owner's pid, or `:none`;
    * `:owner_name` – what the owner is registered as, or kept for; `nil` for neither;
    * `:heir` – the process that gets or hands over the table, `:immortal` or `:none`;
    * `:kept_as` – `{:ok, ref}` for a kept table, where `ref` is the key in `Blanket.Registry`;
    * `:state` – `:owned` or `:orphan`;
    * `:since` – since when it is in this state, with this owner;
    * `:hand_overs` – how often it has gone from one process to another;
    * `:waited` – for how many microseconds it was an orphan before the last hand-over.
  """
  @type t :: %__MODULE__{
          table: reference,
          name: atom,
          named: boolean,
          type: :set | :ordered_set | :bag | :duplicate_bag,
          protection: :public | :protected | :private,
          keypos: pos_integer,
          size: non_neg_integer,
          bytes: non_neg_integer,
          owner: pid | :none,
          owner_name: term,
          heir: pid | :immortal | :none,
          kept_as: {:ok, term} | nil,
          state: :owned | :orphan,
          since: DateTime.t(),
          hand_overs: non_neg_integer,
          waited: non_neg_integer
        }

  @typep kept :: {ref :: term, keep :: map} | nil

  @doc false
  @spec read(Blanket.Table.table(), kept) :: t | nil
  def read(table, kept) do
    with facts when is_map(facts) <- Native.info(table) do
      %__MODULE__{
        table: facts.id,
        name: facts.name,
        named: facts.named_table,
        type: facts.type,
        protection: facts.protection,
        keypos: facts.keypos,
        size: facts.size,
        bytes: facts.memory * :erlang.system_info(:wordsize),
        owner: facts.owner,
        owner_name: owner_name(facts.owner, kept),
        heir: heir(facts.heir, kept),
        kept_as: with({ref, _keep} <- kept, do: {:ok, ref}),
        state: if(facts.owner == :none, do: :orphan, else: :owned),
        since: DateTime.from_unix!(facts.since + System.time_offset(:nanosecond), :nanosecond),
        hand_overs: facts.hand_overs,
        waited: div(facts.waited, 1000)
      }
    else
      :undefined -> nil
    end
  end

  defp owner_name(pid, kept) when is_pid(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when name != [] -> name
      _ -> kept_for(kept)
    end
  end

  defp owner_name(:none, kept), do: kept_for(kept)

  defp kept_for({_ref, %{owner: owner}}) when not is_pid(owner), do: owner
  defp kept_for(_kept), do: nil

  # Between an heir's death and the next one's start there is none.
  defp heir(_option, {ref, _keep}), do: Heir.whereis(ref) || :none
  defp heir(option, nil), do: option

  defimpl Inspect do
    alias Blanket.Inspector.Words

    def inspect(info, _opts) do
      words = [
        Kernel.inspect(info.name),
        info.type,
        Words.objects(info.size),
        Words.bytes(info.bytes),
        Words.owner(info),
        Words.heir(info)
      ]

      "#Blanket.Table<#{Enum.join(words, ", ")}>"
    end
  end
end
